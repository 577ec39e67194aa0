import { EMPTY_ROOT, hashNode, MerkleTree, type TreeHash } from './merkle-tree.ts';

/** Inclusion and consistency proofs of RFC 6962 §2.1.1–2.1.2, and their verification after RFC 9162 §2.1.3.2, §2.1.4.2. */

/** Leaves of a subtree: from `start` up to, not including, `end`. */
export interface LeafRange {
  readonly start: number;
  readonly end: number;
}

/** Largest power of two below `size` (`k` of RFC 6962 §2.1), for a size of 2 or more. */
function splitOf(size: number): number {
  let split = 1;
  while (split * 2 < size) split *= 2;
  return split;
}

/** The subtrees whose hashes prove that the leaf at `index` is in the tree over `size` leaves: `PATH(m, D[n])`, in its order. */
export function inclusionRanges(index: number, size: number, start = 0): LeafRange[] {
  if (size <= 1) return [];
  const split = splitOf(size);
  const [middle, end] = [start + split, start + size];
  return index < split
    ? [...inclusionRanges(index, split, start), { start: middle, end }]
    : [...inclusionRanges(index - split, size - split, middle), { start, end: middle }];
}

/** The subtrees whose hashes prove that the tree over `size` leaves extends the one over the first `oldSize`: `PROOF(m, D[n])`, in its order. */
export function consistencyRanges(oldSize: number, size: number): LeafRange[] {
  return oldSize === 0 ? [] : subproof(oldSize, { start: 0, end: size }, true);
}

/** `SUBPROOF(m, D[n], b)`. `isKnown` says whether the verifier holds the root of this subtree already. */
function subproof(oldSize: number, tree: LeafRange, isKnown: boolean): LeafRange[] {
  const { start, end } = tree;
  if (oldSize === end - start) return isKnown ? [] : [tree];
  const split = splitOf(end - start);
  const left = { start, end: start + split };
  const right = { start: start + split, end };
  return oldSize <= split
    ? [...subproof(oldSize, left, isKnown), right]
    : [...subproof(oldSize - split, right, false), left];
}

/**
 * Hashes of subtrees that do not overlap, in the order in which they were asked for: one reading of the leaves, whatever their number, and nothing
 * of them held.
 */
export async function hashRanges(
  leaves: AsyncIterable<TreeHash>,
  ranges: readonly LeafRange[],
): Promise<readonly TreeHash[]> {
  const trees = ranges.map((range) => ({ ...range, tree: new MerkleTree() }));
  const inOrder = [...trees].sort((a, b) => a.start - b.start);
  let at = 0;
  let next = 0;
  for await (const leaf of leaves) {
    while (inOrder[next] !== undefined && (inOrder[next]?.end ?? 0) <= at) next += 1;
    const current = inOrder[next];
    if (current === undefined) break;
    if (current.start <= at) current.tree.append(leaf);
    at += 1;
  }
  return trees.map(({ tree }) => tree.root());
}

// Arithmetic, not bit operators: positions may pass 2^31.
const half = (value: number): number => Math.floor(value / 2);
const isOdd = (value: number): boolean => value % 2 === 1;

export function isIncluded(of: {
  leaf: TreeHash;
  index: number;
  size: number;
  root: TreeHash;
  proof: readonly TreeHash[];
}): boolean {
  if (of.index < 0 || of.index >= of.size) return false;
  let [node, last, hash] = [of.index, of.size - 1, of.leaf];
  for (const sibling of of.proof) {
    if (last === 0) return false;
    if (isOdd(node) || node === last) {
      hash = hashNode(sibling, hash);
      while (!isOdd(node) && node !== 0) [node, last] = [half(node), half(last)];
    } else {
      hash = hashNode(hash, sibling);
    }
    [node, last] = [half(node), half(last)];
  }
  return last === 0 && hash === of.root;
}

export function isConsistent(of: {
  oldSize: number;
  oldRoot: TreeHash;
  size: number;
  root: TreeHash;
  proof: readonly TreeHash[];
}): boolean {
  if (of.oldSize > of.size || of.oldSize < 0) return false;
  if (of.oldSize === of.size) return of.proof.length === 0 && of.oldRoot === of.root;
  // The empty tree is a prefix of every tree, and there is nothing to prove; its root is a constant.
  if (of.oldSize === 0) return of.proof.length === 0 && of.oldRoot === EMPTY_ROOT;

  let [node, last] = [of.oldSize - 1, of.size - 1];
  while (isOdd(node)) [node, last] = [half(node), half(last)];
  // A whole-power-of-two old tree is a subtree of the new one: its root is the first element, and is left out.
  const path = node === 0 ? [of.oldRoot, ...of.proof] : of.proof;
  const [first, ...siblings] = path;
  if (first === undefined) return false;
  let [oldHash, newHash] = [first, first];
  for (const sibling of siblings) {
    if (last === 0) return false;
    if (isOdd(node) || node === last) {
      oldHash = hashNode(sibling, oldHash);
      newHash = hashNode(sibling, newHash);
      while (!isOdd(node) && node !== 0) [node, last] = [half(node), half(last)];
    } else {
      newHash = hashNode(newHash, sibling);
    }
    [node, last] = [half(node), half(last)];
  }
  return last === 0 && oldHash === of.oldRoot && newHash === of.root;
}
