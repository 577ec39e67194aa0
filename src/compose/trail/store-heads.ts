import type { PublishTarget } from '../../adapters/journal/publish-checkpoint.ts';
import { parseVerifier, type Verifier } from '../../adapters/journal/signed-note.ts';
import { readAnchor } from '../../adapters/journal/verify-journal.ts';
import { RemitError } from '../../domain/errors.ts';
import type { TrailHead } from '../../domain/trail-head.ts';
import type { TrailHeadRepository } from '../../seams/shared-store.ts';
import type { Workspace } from '../workspace.ts';

/** How often a node tells the others how long its journal is; as often as a head is signed at most. */
export const HEAD_MS = 2_000;

/** How often a node looks whether the others know its journal as it is, whether it writes or not. */
export const CHECK_MS = 5_000;

export interface StoreHeads {
  readonly target: PublishTarget;
  /**
   * The newest checkpoint of this journal that the store knows, from wherever it has it.
   * @throws `ERR_JOURNAL_DAMAGED` where the store knows another journal of this node, or a checkpoint that its key has not signed; `ERR_STORE_*`
   */
  newest(): Promise<string | undefined>;
  /** Looks whether the others still know it as it is: what the store had lost, they put back. @throws `ERR_STORE_*` */
  check(): Promise<void>;
}

/**
 * Where a node's checkpoints are for the others to see. Undefined where the store is one gateway's alone.
 * @param onContradicted told when the store has a signed checkpoint of this journal that the journal does not lead to
 */
export function storeHeads(
  { store, node, estate }: Workspace,
  verifier: Verifier,
  onContradicted: (what: string) => void,
): StoreHeads | undefined {
  const heads = store.shared?.heads;
  if (heads === undefined || node === undefined) return undefined;
  const { tenant } = estate;
  const origin = verifier.name;
  const own = { tenant, node, origin, key: verifier.text };
  /** The newest that was given to the store, perhaps just being so. */
  let last: TrailHead | undefined;
  const compare = (stored: TrailHead): void => {
    if (last === undefined || stored.size < last.size || stored.checkpoint === last.checkpoint) return;
    // Whoever can write to the store could make one up: a start is refused for that, and no node is stopped by it.
    if (!isSignedHead(stored)) return;
    onContradicted(
      `it has a checkpoint over ${last.size} records, and one of it was seen over ${stored.size} that are not these`,
    );
  };
  return {
    target: {
      name: 'the shared store',
      async publish(checkpoint) {
        last = { ...own, size: readAnchor(checkpoint, verifier).size, checkpoint };
        compare(await heads.publish(last));
      },
      read: () => newest(heads),
    },
    newest: () => newest(heads),
    async check() {
      const stored = (await heads.ofNode(tenant, node)).find((head) => head.origin === origin);
      if (stored !== undefined) compare(stored);
    },
  };

  async function newest(repository: TrailHeadRepository): Promise<string | undefined> {
    const known = await repository.ofNode(tenant, node as string);
    const other = known.find((head) => head.origin !== origin && !head.isSuperseded);
    if (other !== undefined) {
      throw damaged(`the store knows another journal of this node, ${other.origin} with ${other.size} records`);
    }
    const head = known.find((one) => one.origin === origin);
    if (head === undefined) return undefined;
    if (!isSignedHead(head)) throw damaged('the checkpoint that the store has of it is not signed by its key');
    return head.checkpoint;
  }
}

/** Whether a checkpoint is of the log that it says, under a key that the log's name begins with. */
export function isSignedHead({ tenant, origin, key, size, checkpoint }: TrailHead): boolean {
  const verifier = parseVerifier(key);
  if (verifier === undefined || verifier.name !== origin) return false;
  // Base64 may hold a plus, a name and a hash none.
  const publicKey = Buffer.from(key.split('+').slice(2).join('+'), 'base64').subarray(1);
  if (origin !== originOf(tenant, publicKey)) return false;
  try {
    return readAnchor(checkpoint, verifier).size === size;
  } catch {
    return false;
  }
}

/** Name of the log that a key signs. */
export const originOf = (tenant: string, publicKey: Buffer): string =>
  `remit/${tenant}/${publicKey.toString('hex').slice(0, 16)}`;

function damaged(what: string): RemitError {
  return new RemitError('ERR_JOURNAL_DAMAGED', `the journal is not the one that other nodes know: ${what}`, {
    where: 'the shared store',
    hint: 'Keep the folder as evidence, and restore a copy that `remit audit verify` finds sound; nothing was changed.',
  });
}
