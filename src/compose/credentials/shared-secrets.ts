import type { StaticException } from '../../config/credential-schema.ts';
import type { Config, SharedSecretConfig } from '../../config/schema.ts';
import { SECRET_NAME } from '../../config/schema-parts.ts';
import { secretsOf } from '../../config/secret-names.ts';
import { RemitError } from '../../domain/errors.ts';
import type { SecretEntry } from '../../secrets/vault.ts';
import type { Workspace } from '../workspace.ts';

/** A connector that is made with a secret. */
export interface SecretUser {
  readonly connector: string;
  /** Below `connectors.<id>.credential`. */
  readonly at: string;
  readonly environment: string;
  readonly zone: string;
}

/** One secret, by whatever names and connectors it is used. */
export interface SharedSecret {
  /** Names under which this tenant has it. */
  readonly secrets: readonly string[];
  readonly users: readonly SecretUser[];
  /** How many secrets of other tenants are the same. */
  readonly elsewhere: number;
  /** The exception that covers all of it, if there is one that has not ended. */
  readonly exception: SharedSecretConfig | undefined;
}

/** Which connectors are made with which secret, as configured. */
export function secretUsers({ estate }: Pick<Workspace, 'estate'>): ReadonlyMap<string, readonly SecretUser[]> {
  const users = new Map<string, SecretUser[]>();
  for (const { id, environment, zone, config } of estate.connectors.values()) {
    for (const { secret, at } of secretsOf(config)) {
      users.set(secret, [...(users.get(secret) ?? []), { connector: id, at, environment, zone }]);
    }
  }
  return users;
}

/** Secrets that are registered more than once, or that several connectors use (R02, R13, R56). */
export async function findSharedSecrets(workspace: Workspace): Promise<SharedSecret[]> {
  const { vault, store, estate } = workspace;
  const users = secretUsers(workspace);
  const groups = new Map<string, string[]>();
  for (const entry of await vault.list()) {
    if (!SECRET_NAME.test(entry.name)) continue;
    const fingerprint = await fingerprintOf(workspace, entry);
    groups.set(fingerprint, [...(groups.get(fingerprint) ?? []), entry.name]);
  }
  // What is named and not stored yet is shared all the same.
  const stored = new Set([...groups.values()].flat());
  for (const name of users.keys()) if (!stored.has(name)) groups.set(`missing ${name}`, [name]);

  const shared: SharedSecret[] = [];
  for (const [fingerprint, secrets] of groups) {
    const all = secrets.flatMap((name) => users.get(name) ?? []);
    const same = await store.secrets.withFingerprint(fingerprint);
    const elsewhere = same.filter(({ tenant }) => tenant !== estate.tenant).length;
    if (secrets.length + elsewhere < 2 && new Set(all.map(({ connector }) => connector)).size < 2) continue;
    shared.push({ secrets, users: all, elsewhere, exception: exceptionFor(workspace, secrets, all, elsewhere) });
  }
  return shared;
}

/** One that was stored before there were fingerprints gets its own. */
async function fingerprintOf({ vault, store, estate }: Workspace, entry: SecretEntry): Promise<string> {
  if (entry.fingerprint !== undefined) return entry.fingerprint;
  const { secret, version } = await vault.getVersioned(entry.name);
  const fingerprint = await vault.fingerprint(secret);
  secret.wipe();
  await store.secrets.setFingerprint(estate.tenant, entry.name, version, fingerprint);
  return fingerprint;
}

export function exceptionFor(
  { config, system }: Pick<Workspace, 'config' | 'system'>,
  secrets: readonly string[],
  users: readonly SecretUser[],
  elsewhere: number,
): SharedSecretConfig | undefined {
  return config.sharedSecrets.find(
    (exception) =>
      system.clock() < Date.parse(exception.expires) &&
      secrets.every((name) => exception.secrets.includes(name)) &&
      users.every(({ connector }) => exception.connectors.includes(connector)) &&
      (elsewhere === 0 || exception.acrossTenants),
  );
}

/** A static secret's exception, which ends no later than the one under which the secret is shared. */
export function boundException(
  { sharedSecrets }: Config,
  connector: string,
  { secret = '', exception }: { readonly secret?: string | undefined; readonly exception: StaticException },
): StaticException {
  const ends = sharedSecrets
    .filter(({ secrets, connectors }) => secrets.includes(secret) && connectors.includes(connector))
    .map(({ expires }) => Date.parse(expires));
  const end = Math.max(...ends);
  if (ends.length === 0 || end >= Date.parse(exception.expires)) return exception;
  return { ...exception, expires: new Date(end).toISOString() };
}

/** For people: what shares what. No secret, and no name of another tenant's. */
export function sharedText({ secrets, users, elsewhere }: Omit<SharedSecret, 'exception'>): string {
  const who = users.map(({ connector, environment, zone }) => `${connector} (${environment}, ${zone})`);
  const parts = [
    secrets.length > 1 ? `${secrets.join(' and ')} are one and the same secret` : `one secret, ${secrets[0]}`,
    ...(who.length > 0 ? [`used by ${[...new Set(who)].join(', ')}`] : []),
    ...(elsewhere > 0 ? ['another tenant has it too'] : []),
  ];
  return parts.join('; ');
}

/** Refuses to serve with a secret that is shared without an exception. @throws `ERR_SECRET_SHARED`, `ERR_VAULT_KEY_…` */
export async function assertNoneShared(workspace: Workspace): Promise<void> {
  for (const shared of await findSharedSecrets(workspace)) {
    if (shared.exception !== undefined || shared.users.length === 0) continue;
    throw new RemitError('ERR_SECRET_SHARED', `a secret is shared: ${sharedText(shared)}`, {
      where: shared.users.map(({ connector, at }) => `connectors.${connector}.credential.${at}`).join(', '),
      hint: SHARED_HINT,
    });
  }
}

export const SHARED_HINT =
  'Get a credential of its own for each; or, where there is no other way, name who answers for it in `sharedSecrets` (secrets, connectors, owner, reason, expires).';
