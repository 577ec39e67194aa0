import type { Config } from '../../config/schema.ts';
import { RemitError } from '../../domain/errors.ts';
import type { System } from '../system.ts';

/** With the address that the environment gives to this node. @throws `ERR_CONFIG_INVALID` for one that is no URL */
export function withNodeAddress(config: Config, { environment }: Pick<System, 'environment'>): Config {
  const { addressVariable } = config.node;
  const given = addressVariable === undefined ? undefined : environment(addressVariable);
  if (given === undefined || given === '') return config;
  if (URL.canParse(given) && /^https?:$/.test(new URL(given).protocol)) {
    return { ...config, node: { ...config.node, address: given } };
  }
  throw new RemitError('ERR_CONFIG_INVALID', `the environment variable ${addressVariable} holds no http or https URL`, {
    where: 'node.addressVariable',
    hint: `Set it to how the other nodes reach this one: ${addressVariable}=http://10.0.0.5:7420.`,
  });
}

/** Before anything is served: the others would be told an address that is nobody's. @throws `ERR_CONFIG_INVALID` */
export function assertAddressGiven({ node: { address, addressVariable } }: Pick<Config, 'node'>): void {
  if (addressVariable === undefined || address !== undefined) return;
  throw new RemitError(
    'ERR_CONFIG_INVALID',
    `the environment variable ${addressVariable} with this node’s address is not set`,
    {
      where: 'node.addressVariable',
      hint: `Set it to how the other nodes reach this one: ${addressVariable}=http://10.0.0.5:7420.`,
    },
  );
}
