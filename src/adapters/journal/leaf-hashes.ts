import { BLOCK } from './frame.ts';
import { FrameDamage, readFault, readFrames } from './frame-reader.ts';
import type { TreeHash } from './merkle-tree.ts';
import { listSegments, openFrames, readLeaves } from './segments.ts';

/**
 * The leaf hashes of all records, in order: of a full segment those that were kept, of the one that is written to those of its frames. What they
 * are used for must check them against a signature.
 * @throws `ERR_JOURNAL_FAILED` (unreadable), `ERR_NOT_FOUND`
 */
export async function* readLeafHashes(folder: string): AsyncGenerator<TreeHash, void> {
  const { begun } = await listSegments(folder);
  for (const [index, segment] of begun.entries()) {
    const leaves = await readLeaves(folder, segment.number);
    if (leaves !== undefined && leaves !== null) {
      yield* leaves;
      continue;
    }
    const file = await openFrames(folder, segment);
    if (file === undefined) continue;
    try {
      const from = { offset: BLOCK, position: segment.header?.first ?? 0 };
      for await (const frames of readFrames(file, from, index === begun.length - 1)) {
        for (const { leaf } of frames) yield leaf;
      }
    } catch (error) {
      // What cannot be read cannot be proved: the proof will not hold, and that is said.
      if (!(error instanceof FrameDamage)) throw readFault(segment.path, error);
      return;
    } finally {
      await file.close();
    }
  }
}
