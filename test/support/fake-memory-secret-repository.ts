import { RemitError } from '../../src/domain/errors.ts';
import type { SealedSecret, SecretRepository } from '../../src/seams/store.ts';

export type FakeMemorySecretRepository = SecretRepository & { readonly rows: SealedSecret[] };

/** Secrets in an array, which a test may tamper with. */
export function createFakeMemorySecretRepository(): FakeMemorySecretRepository {
  const rows: SealedSecret[] = [];
  const newest = (tenant: string, name: string) =>
    rows
      .filter((row) => row.tenant === tenant && row.name === name)
      .sort((a, b) => b.version - a.version)
      .at(0);
  return {
    rows,
    async put(secret) {
      if ((newest(secret.tenant, secret.name)?.version ?? 0) + 1 !== secret.version) {
        throw new RemitError('ERR_STORE_LOCKED', 'another version was stored meanwhile');
      }
      rows.push(secret);
    },
    get: async (tenant, name) => newest(tenant, name),
    async list(tenant, wanted) {
      const own = rows.filter((row) => row.tenant === tenant && (wanted?.includes(row.name) ?? true));
      const names = new Set(own.map((row) => row.name));
      return [...names].flatMap((name) => newest(tenant, name) ?? []);
    },
    async remove(tenant, name) {
      const kept = rows.filter((row) => row.tenant !== tenant || row.name !== name);
      return rows.splice(0, rows.length, ...kept).length > kept.length;
    },
    withFingerprint: async (fingerprint) =>
      rows.filter((row) => row.fingerprint === fingerprint).map(({ tenant, name }) => ({ tenant, name })),
    async setFingerprint(tenant, name, version, fingerprint) {
      const at = rows.findIndex((row) => row.tenant === tenant && row.name === name && row.version === version);
      const row = rows[at];
      if (row !== undefined) rows[at] = { ...row, fingerprint };
      return row !== undefined;
    },
  };
}
