import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  consistencyRanges,
  hashRanges,
  inclusionRanges,
  isConsistent,
  isIncluded,
  type LeafRange,
} from '../../src/adapters/journal/merkle-proofs.ts';
import { EMPTY_ROOT, hashLeaf, hashNode, MerkleTree } from '../../src/adapters/journal/merkle-tree.ts';

const SIZES = Array.from({ length: 71 }, (_, size) => size);
const PAYLOADS = SIZES.map((index) => Buffer.from(`payload ${index}`));
const LEAVES = PAYLOADS.map(hashLeaf);

const sha256 = (...parts: (Uint8Array | string)[]): string => {
  const digest = createHash('sha256');
  for (const part of parts) digest.update(typeof part === 'string' ? Buffer.from(part, 'latin1') : part);
  return digest.digest('binary');
};

/** RFC 6962 §2.1, word for word. */
function bruteForceRoot(payloads: readonly Buffer[]): string {
  const [only] = payloads;
  if (only === undefined) return sha256();
  if (payloads.length === 1) return sha256(Buffer.of(0), only);
  let k = 1;
  while (k * 2 < payloads.length) k *= 2;
  return sha256(Buffer.of(1), bruteForceRoot(payloads.slice(0, k)), bruteForceRoot(payloads.slice(k)));
}

const rootOf = (size: number): string => bruteForceRoot(PAYLOADS.slice(0, size));
const ROOTS = [...SIZES.map(rootOf), rootOf(71)];

async function* streamed(leaves: readonly string[]): AsyncGenerator<string> {
  yield* leaves;
}
const proofOf = async (leaves: readonly string[], ranges: readonly LeafRange[]): Promise<string[]> => [
  ...(await hashRanges(streamed(leaves), ranges)),
];

describe('Merkle tree', () => {
  it('has the root of the definition at every size from 0 to 70', () => {
    const tree = new MerkleTree();
    for (const size of SIZES) {
      expect(tree.size).toBe(size);
      expect(tree.root()).toBe(ROOTS[size]);
      tree.append(LEAVES[size] as string);
    }
  });

  it('has the published root of the empty tree and of known leaves', () => {
    const hex = (hash: string): string => Buffer.from(hash, 'latin1').toString('hex');
    expect(hex(EMPTY_ROOT)).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
    // Test vectors of the Certificate Transparency implementations.
    expect(hex(hashLeaf(Buffer.alloc(0)))).toBe('6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d');
    const tree = new MerkleTree();
    for (const leaf of [
      '',
      '00',
      '10',
      '2021',
      '3031',
      '40414243',
      '5051525354555657',
      '606162636465666768696a6b6c6d6e6f',
    ]) {
      tree.append(hashLeaf(Buffer.from(leaf, 'hex')));
    }
    expect(hex(tree.root())).toBe('5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328');
  });

  it('proves inclusion of every leaf at every size, and of no other leaf, place or root', async () => {
    for (const size of SIZES) {
      const leaves = LEAVES.slice(0, size);
      for (let index = 0; index < size; index += 1) {
        const of = { leaf: leaves[index] as string, index, size, root: ROOTS[size] as string };
        const proof = await proofOf(leaves, inclusionRanges(index, size));
        expect(proof.length).toBeLessThanOrEqual(Math.ceil(Math.log2(size)));
        expect(isIncluded({ ...of, proof })).toBe(true);
        expect(isIncluded({ ...of, proof, leaf: hashLeaf(Buffer.from('other')) })).toBe(false);
        expect(isIncluded({ ...of, proof, root: ROOTS[size - 1] as string })).toBe(false);
        expect(isIncluded({ ...of, proof, index: index + 1 })).toBe(false);
        expect(isIncluded({ ...of, proof: [...proof, of.leaf] })).toBe(false);
        if (proof.length > 0) expect(isIncluded({ ...of, proof: proof.slice(1) })).toBe(false);
      }
      expect(isIncluded({ leaf: LEAVES[0] as string, index: size, size, root: ROOTS[size] as string, proof: [] })).toBe(
        false,
      );
    }
  });

  it('proves consistency of every pair of sizes, and of no other roots', async () => {
    for (const size of SIZES) {
      const leaves = LEAVES.slice(0, size);
      for (let oldSize = 0; oldSize <= size; oldSize += 1) {
        const of = { oldSize, size, oldRoot: ROOTS[oldSize] as string, root: ROOTS[size] as string };
        const proof = await proofOf(leaves, consistencyRanges(oldSize, size));
        expect(isConsistent({ ...of, proof })).toBe(true);
        const other = hashNode(of.root, of.root);
        expect(isConsistent({ ...of, proof, oldRoot: other })).toBe(false);
        // Everything is consistent with the empty tree: there the new root is not looked at.
        expect(isConsistent({ ...of, proof, root: other })).toBe(oldSize === 0 && size > 0);
        expect(isConsistent({ ...of, proof: [...proof, other] })).toBe(false);
        if (proof.length > 0) expect(isConsistent({ ...of, proof: proof.slice(0, -1) })).toBe(false);
        if (oldSize !== size) expect(isConsistent({ ...of, proof, oldSize: size, size: oldSize })).toBe(false);
      }
    }
  });
});
