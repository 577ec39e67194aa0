import { type VerifiedTrails, type VerifyTrailsOptions, verifyTrails } from '../../compose/trail/verify-trails.ts';
import { RemitError } from '../../domain/errors.ts';
import type { Output } from '../output.ts';

/** Verifies the journals of several nodes together, and says of each what it found. @throws `ERR_JOURNAL_DAMAGED` with every problem */
export async function showSeveral(
  output: Output,
  folders: readonly string[],
  options: VerifyTrailsOptions,
): Promise<void> {
  const verified = await verifyTrails(folders, options);
  if (!verified.ok) {
    const lines = verified.problems.map(
      ({ node, origin, what, where }) => `  node ${node ?? 'unknown'} (${origin}): ${what} (${where})`,
    );
    throw new RemitError('ERR_JOURNAL_DAMAGED', `the journals are not what was written:\n${lines.join('\n')}`, {
      where: verified.problems[0]?.where ?? folders.join(', '),
      hint: 'Keep the folders as evidence. A copy that is older than what others saw: copy it again, or give --seen-before the time of the first copy. A journal that is known to be gone: --without NODE.',
    });
  }
  output.result(verified, () => textOf(verified, options).join('\n'));
}

function textOf(found: Extract<VerifiedTrails, { ok: true }>, { keys, expected }: VerifyTrailsOptions): string[] {
  const { chains, compared, absent } = found;
  return [
    ...chains.map(
      ({ node, origin, folder, verified }) =>
        `verified: node ${node ?? 'that no other has seen'}, ${origin}: ${verified.size} records, ${verified.signedSize} under a signature${verified.isPart ? ', a copy of what is closed' : ''} (${folder})`,
    ),
    `verified: ${compared} checkpoints of one in another are of the logs that they say`,
    ...absent.map(
      ({ node, origin, size, why }) => `absent: node ${node}, ${origin}, seen with ${size} records: ${why}`,
    ),
    ...(expected !== undefined && absent.some(({ node }) => !expected.includes(node))
      ? [
          'note: what nodes of other hosts have written is verified with theirs: --folder for the data folder, or a copy, of each',
        ]
      : []),
    ...(keys.length < chains.length
      ? ['note: verifier keys were taken from the folders; give --key for each to rule out that they were replaced too']
      : []),
  ];
}
