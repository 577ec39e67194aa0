import { isRemitError, RemitError } from '../../domain/errors.ts';
import type { RandomBytes, TaskId, TenantId } from '../../domain/ids.ts';
import { Secret } from '../../domain/secret.ts';
import type { Clock } from '../../seams/clock.ts';
import type { TaskKeyRepository } from '../../seams/store.ts';
import type { Vault } from '../../secrets/vault.ts';
import type { Workspace } from '../workspace.ts';

/** Name of the row and of the vault's record: no task is called so, since their ids begin with `tsk_`. */
export const STATE_KEY = 'state-key' as TaskId;

const KEY_BYTES = 32;

interface Parts {
  readonly tenant: TenantId;
  readonly repository: TaskKeyRepository;
  readonly vault: Pick<Vault, 'seal' | 'open'>;
  readonly random: RandomBytes;
  readonly clock: Clock;
}

/** Undefined where no gateway has made it yet. @throws `ERR_VAULT_*`, `ERR_STORE_*` */
export async function loadStateKey({
  tenant,
  repository,
  vault,
}: Pick<Parts, 'tenant' | 'repository'> & { readonly vault: Pick<Vault, 'open'> }): Promise<Buffer | undefined> {
  const row = await repository.get(tenant, STATE_KEY);
  if (row === undefined) return undefined;
  const key = await vault.open(STATE_KEY, row);
  if (key.length === KEY_BYTES) return key;
  throw new RemitError('ERR_STORE_SCHEMA', 'the sealing key in the store is none', {
    hint: 'The store was altered. Restore it from a backup.',
  });
}

/**
 * The key that all nodes of a store have, which seals what clients carry (`gateway/bridge/sealer.ts`) and much else: loaded, or made once, and kept
 * sealed in the store, so that handles survive a restart and every node opens them.
 * @throws `ERR_VAULT_*`, `ERR_STORE_*`
 */
export async function loadOrCreateStateKey(parts: Parts): Promise<Buffer> {
  const { tenant, repository, vault, random, clock } = parts;
  const known = await loadStateKey(parts);
  if (known !== undefined) return known;
  const made = Buffer.from(random(KEY_BYTES));
  try {
    await repository.insert({ tenant, task: STATE_KEY, ...(await vault.seal(STATE_KEY, made)), createdAt: clock() });
    return made;
  } catch (error) {
    // Another node was first: its key is the one.
    const theirs = isRemitError(error, 'ERR_STORE_LOCKED') ? await loadStateKey(parts) : undefined;
    made.fill(0);
    if (theirs === undefined) throw error;
    return theirs;
  }
}

/** Read where it is needed first, and kept. Whoever has it must not alter it. @throws as `loadOrCreateStateKey`, and is asked again then */
export function keepStateKey(parts: Parts): () => Promise<Buffer> {
  let kept: Promise<Buffer> | undefined;
  return () => {
    kept ??= loadOrCreateStateKey(parts).catch((error: unknown) => {
      kept = undefined;
      throw error;
    });
    return kept;
  };
}

/**
 * Before this process is the first to seal something of its own in the store: with another vault key than the store's that would open for nobody who has the right one.
 * @throws `ERR_VAULT_KEY_WRONG`, `ERR_STORE_*`
 */
export async function assertKeyOfStore({ vault, stateKey }: Pick<Workspace, 'vault' | 'stateKey'>): Promise<void> {
  // What each store has from its first secret on, and from its first gateway on.
  await vault.fingerprint(new Secret('any'));
  await stateKey();
}
