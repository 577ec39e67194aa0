import { readLeafHashes } from './leaf-hashes.ts';
import { MerkleTree, type TreeHash } from './merkle-tree.ts';

/**
 * Roots of the log at sizes that it has reached, by one reading of its leaf hashes; a size that it has not reached is left out.
 * @throws what `readLeafHashes` throws
 */
export async function rootsAt(folder: string, sizes: Iterable<number>): Promise<Map<number, TreeHash>> {
  const wanted = [...new Set(sizes)].sort((a, b) => a - b);
  const roots = new Map<number, TreeHash>();
  const tree = new MerkleTree();
  let next = 0;
  const note = (): void => {
    for (; wanted[next] === tree.size; next += 1) roots.set(tree.size, tree.root());
  };
  note();
  for await (const leaf of readLeafHashes(folder)) {
    if (next === wanted.length) break;
    tree.append(leaf);
    note();
  }
  return roots;
}
