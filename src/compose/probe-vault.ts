import type { Workspace } from './workspace.ts';

/** Shows that the key-encryption key is there and opens what the vault holds. @throws `ERR_VAULT_KEY_…` */
export async function probeVault({ keys, vault }: Workspace): Promise<{ what: string }> {
  (await keys.key()).fill(0);
  const entries = await vault.list();
  for (const { name } of entries) (await vault.get(name)).wipe();
  return { what: `${keys.keyId} opens all ${entries.length} secrets` };
}
