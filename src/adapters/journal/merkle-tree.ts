import { hash } from 'node:crypto';

/**
 * Merkle tree hash of RFC 6962 §2.1. A hash is held as a 32-character `binary` (latin1) string: one-shot hashing into a
 * string costs half of what it costs into a Buffer, and this is the main CPU cost of an append.
 */
export type TreeHash = string;

/** MTH of the empty tree: the hash of nothing (RFC 6962 §2.1). */
export const EMPTY_ROOT: TreeHash = hash('sha256', '', 'binary');

const pair = Buffer.alloc(65);

/** `SHA-256(0x00 ‖ payload)`, given the buffer with the zero byte already in front. */
export function hashPrefixedLeaf(zeroThenPayload: Buffer): TreeHash {
  return hash('sha256', zeroThenPayload, 'binary');
}

export function hashLeaf(payload: Uint8Array): TreeHash {
  const prefixed = Buffer.allocUnsafe(payload.length + 1);
  prefixed[0] = 0;
  prefixed.set(payload, 1);
  return hashPrefixedLeaf(prefixed);
}

/** `SHA-256(0x01 ‖ left ‖ right)`. */
export function hashNode(left: TreeHash, right: TreeHash): TreeHash {
  pair[0] = 1;
  pair.write(left, 1, 32, 'latin1');
  pair.write(right, 33, 32, 'latin1');
  return hash('sha256', pair, 'binary');
}

/** The tree as its compact range: the roots of the perfect subtrees that `size` splits into, widest first. */
export class MerkleTree {
  #size: number;
  readonly #peaks: TreeHash[];

  /** @param peaks what `peaks` gave for a tree of this size */
  constructor(size = 0, peaks: readonly TreeHash[] = []) {
    this.#size = size;
    this.#peaks = [...peaks];
  }

  /** The tree as it is now: roots of perfect subtrees, widest first. As many as `size` has 1 bits. */
  peaks(): TreeHash[] {
    return this.#peaks.slice();
  }

  get size(): number {
    return this.#size;
  }

  append(leaf: TreeHash): void {
    let node = leaf;
    // Every trailing 1 bit of the old size is a peak that now has its sibling.
    for (let rest = this.#size; rest % 2 === 1; rest = (rest - 1) / 2)
      node = hashNode(this.#peaks.pop() as TreeHash, node);
    this.#peaks.push(node);
    this.#size += 1;
  }

  root(): TreeHash {
    let index = this.#peaks.length - 1;
    if (index < 0) return EMPTY_ROOT;
    let root = this.#peaks[index] as TreeHash;
    while (--index >= 0) root = hashNode(this.#peaks[index] as TreeHash, root);
    return root;
  }
}
