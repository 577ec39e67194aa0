import { RemitError } from '../../../domain/errors.ts';

/** What a server said of itself, or answered, ends the authorization. */
export function refused(message: string, where: string, hint: string): RemitError {
  return new RemitError('ERR_AUTHORIZATION_REFUSED', message, { where, hint });
}

/** What is shown to people and recorded as it came: nothing that a terminal would take for a command. */
export const VISIBLE = /^[\x21-\x7e]+$/;

const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])$/;
export const isLoopback = ({ hostname }: URL): boolean => LOOPBACK.test(hostname);

/**
 * An address that tokens, codes or a person's browser may be sent to: https, or plain http to loopback for a connector that is there itself.
 * @throws `ERR_AUTHORIZATION_REFUSED`
 */
export function assertSafe(address: unknown, connectorUrl: string, what: string): URL {
  const isText = typeof address === 'string' && address.length <= 2_048 && VISIBLE.test(address);
  const url = isText && URL.canParse(address) ? new URL(address) : undefined;
  if (url !== undefined && url.hash === '' && url.username === '' && url.password === '') {
    if (url.protocol === 'https:') return url;
    if (url.protocol === 'http:' && isLoopback(url) && isLoopback(new URL(connectorUrl))) return url;
  }
  throw refused(
    `${what} is not an https address`,
    connectorUrl,
    'Nothing was sent there. Plain http is taken on loopback only, of a connector that is on loopback.',
  );
}
