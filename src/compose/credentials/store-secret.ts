import { RemitError } from '../../domain/errors.ts';
import type { Secret } from '../../domain/secret.ts';
import type { Administration } from '../trail/record-administration.ts';
import type { Workspace } from '../workspace.ts';
import { exceptionFor, SHARED_HINT, secretUsers, sharedText } from './shared-secrets.ts';

/** What became of a secret that was put or rotated. */
export interface StoredSecret {
  readonly name: string;
  readonly version: number;
  /** Leases that go on with the version before, until they end; left out where there is none. */
  readonly leasesWithOld?: number;
  /** When the last of them ends at the latest, RFC 3339. */
  readonly oldUntil?: string;
}

/**
 * Stores the next version of a secret; on the trail before it is made, refusals included.
 * @param record puts a change on the trail
 * @throws `ERR_SECRET_SHARED` (registered under another name, or by another tenant), `ERR_NOT_FOUND`, `ERR_USAGE` (nothing to rotate)
 */
export async function storeSecret(
  workspace: Workspace,
  action: 'secret_put' | 'secret_rotate',
  name: string,
  secret: Secret,
  record: (change: Administration) => Promise<void>,
): Promise<StoredSecret> {
  const { vault, store, estate } = workspace;
  const entries = await vault.list();
  const known = entries.find((entry) => entry.name === name);
  if (action === 'secret_rotate' && known === undefined) {
    throw new RemitError('ERR_NOT_FOUND', `no secret is called ${name}`, {
      hint: `\`remit secret ls\` lists them; a new one is stored with \`remit secret put ${name}\`.`,
    });
  }
  const fingerprint = await vault.fingerprint(secret);
  const same = await store.secrets.withFingerprint(fingerprint);
  const isOwn = (other: { tenant: string; name: string }) => other.tenant === estate.tenant && other.name === name;
  if (action === 'secret_rotate' && same.some(isOwn)) {
    throw new RemitError('ERR_USAGE', `that is the secret which ${name} has already`, {
      where: name,
      hint: 'Change it at the downstream first, then give the new one.',
    });
  }
  await assertOwn(
    workspace,
    name,
    same.filter((other) => !isOwn(other)),
    record,
  );
  const next = (known?.version ?? 0) + 1;
  await record({ action, name, version: next, ...(known && { replaces: known.version }) });
  const version = await vault.put(name, secret, fingerprint);
  return { name, version, ...(await leasesOf(workspace, name)) };
}

async function assertOwn(
  workspace: Workspace,
  name: string,
  others: readonly { tenant: string; name: string }[],
  record: (change: Administration) => Promise<void>,
): Promise<void> {
  if (others.length === 0) return;
  const own = others.filter(({ tenant }) => tenant === workspace.estate.tenant).map((other) => other.name);
  const secrets = [name, ...own];
  const users = secretUsers(workspace);
  const all = secrets.flatMap((secret) => users.get(secret) ?? []);
  const elsewhere = others.length - own.length;
  if (exceptionFor(workspace, secrets, all, elsewhere) !== undefined) return;
  await record({ action: 'secret_refused', name, sameAs: own, elsewhere });
  throw new RemitError('ERR_SECRET_SHARED', `refused: ${sharedText({ secrets, users: all, elsewhere })}`, {
    where: name,
    hint: SHARED_HINT,
  });
}

/** Leases hold what they were made with: a rotation ends none of them. */
async function leasesOf(workspace: Workspace, name: string): Promise<Pick<StoredSecret, 'leasesWithOld' | 'oldUntil'>> {
  const { store, estate } = workspace;
  const connectors = new Set<string>(
    (secretUsers(workspace).get(name) ?? []).filter(({ at }) => at === 'static.secret').map((user) => user.connector),
  );
  const leases = (await store.leases.list(estate.tenant, { states: ['intended', 'active'] })).filter((lease) =>
    connectors.has(lease.connector),
  );
  if (leases.length === 0) return {};
  const last = Math.max(...leases.map(({ expiresAt }) => expiresAt));
  return { leasesWithOld: leases.length, oldUntil: new Date(last).toISOString() };
}
