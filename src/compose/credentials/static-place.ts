import type { ConnectorConfig } from '../../config/schema.ts';

type StaticSettings = NonNullable<NonNullable<ConnectorConfig['credential']>['static']>;

/** Where a long-lived secret is kept, for people and records: its name in Remit's vault, or the key of a Vault's KV engine. */
export function staticPlace({ secret, vaultKv }: Pick<StaticSettings, 'secret' | 'vaultKv'>): string {
  if (vaultKv === undefined) return secret ?? '';
  const { address, namespace, mount, path, key } = vaultKv;
  const place = [mount, path].join('/');
  return `${key} of ${place} at ${address}${namespace === undefined ? '' : ` (${namespace})`}`;
}
