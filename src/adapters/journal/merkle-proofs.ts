import { hashNode, MerkleTree, type TreeHash } from './merkle-tree.ts';

/** Inclusion and consistency proofs of RFC 6962 §2.1.1–2.1.2, and their verification after RFC 9162 §2.1.3.2, §2.1.4.2. */

/** MTH over a list of leaf hashes. */
function treeRoot(leaves: readonly TreeHash[]): TreeHash {
  const tree = new MerkleTree();
  for (const leaf of leaves) tree.append(leaf);
  return tree.root();
}

/** Largest power of two below `size` (`k` of RFC 6962 §2.1), for a size of 2 or more. */
function splitOf(size: number): number {
  let split = 1;
  while (split * 2 < size) split *= 2;
  return split;
}

/** Proof that `leaves[index]` is in the tree over all the leaves: `PATH(m, D[n])`. */
export function inclusionProof(leaves: readonly TreeHash[], index: number): TreeHash[] {
  if (leaves.length <= 1) return [];
  const split = splitOf(leaves.length);
  const [left, right] = [leaves.slice(0, split), leaves.slice(split)];
  return index < split
    ? [...inclusionProof(left, index), treeRoot(right)]
    : [...inclusionProof(right, index - split), treeRoot(left)];
}

/** Proof that the tree over all the leaves extends the tree over the first `oldSize`: `PROOF(m, D[n])`. */
export function consistencyProof(leaves: readonly TreeHash[], oldSize: number): TreeHash[] {
  return oldSize === 0 ? [] : subproof(leaves, oldSize, true);
}

/** `SUBPROOF(m, D[n], b)`. `isKnown` says whether the verifier holds the root of this subtree already. */
function subproof(leaves: readonly TreeHash[], oldSize: number, isKnown: boolean): TreeHash[] {
  if (oldSize === leaves.length) return isKnown ? [] : [treeRoot(leaves)];
  const split = splitOf(leaves.length);
  const [left, right] = [leaves.slice(0, split), leaves.slice(split)];
  return oldSize <= split
    ? [...subproof(left, oldSize, isKnown), treeRoot(right)]
    : [...subproof(right, oldSize - split, false), treeRoot(left)];
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
  if (of.oldSize === 0) return of.proof.length === 0 && of.oldRoot === treeRoot([]);

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
