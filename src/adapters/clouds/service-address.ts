import { RemitError } from '../../domain/errors.ts';

const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])$/;

/**
 * Address of a service, without a slash at its end.
 * @param where path of the setting
 * @throws `ERR_CONFIG_INVALID` for plain http to anywhere but this host
 */
export function serviceAddress(address: string, where: string): string {
  const { protocol, hostname } = new URL(address);
  if (protocol === 'http:' && !LOOPBACK.test(hostname)) {
    throw new RemitError('ERR_CONFIG_INVALID', `${address} is not reached over https`, {
      where,
      hint: 'Plain http is taken on loopback only: credentials travel there.',
    });
  }
  return address.replace(/\/+$/, '');
}
