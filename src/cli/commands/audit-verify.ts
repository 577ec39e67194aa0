import type { Command } from 'commander';
import type { Removal } from '../../audit/find-removals.ts';
import { checkProof } from '../../compose/trail/proofs.ts';
import { verifyTrail } from '../../compose/trail/verify-trail.ts';
import { placesOf } from '../../compose/workspace.ts';
import { loadConfig } from '../../config/load-config.ts';
import { RemitError } from '../../domain/errors.ts';
import { type Common, command } from '../command.ts';
import { lineText, type Output } from '../output.ts';

interface VerifyOptions extends Common {
  readonly folder?: string;
  readonly key?: string;
  readonly anchor?: string;
  readonly proof?: string;
  readonly record?: string;
  readonly from?: string;
}

const KEY_NOTE = 'note: the verifier key was taken from the folder; give --key to rule out that it was replaced too';

export function addVerifyCommand(group: Command): void {
  command<VerifyOptions>(
    group,
    'verify',
    'check every record against checksums, hash tree and signed checkpoints, or one proof; offline',
    (c) =>
      c
        .option('--folder <path>', 'a journal, or a copy of one; left out: the configured one')
        .option('--key <vkey>', 'the verifier key as noted elsewhere; left out: the one in the folder is believed')
        .option('--anchor <file>', 'a checkpoint that was kept elsewhere')
        .option('--proof <file>', 'a proof, instead of a journal: with --key nothing else is needed')
        .option('--from <file>', 'of a proof that the log goes on: the earlier checkpoint, as it was kept')
        .option('--record <file>', 'of a proof of a record that was removed: its exact bytes'),
    async (output, options) => {
      if (options.proof !== undefined) return await showProof(output, options, options.proof);
      const folder = options.folder ?? placesOf(await loadConfig(options.config)).journal;
      const verified = await verifyTrail(folder, { key: options.key, anchorFile: options.anchor });
      if (!verified.ok) {
        const { where, what } = verified.problem;
        const at = `${where.file}, byte ${where.offset}${where.record === undefined ? '' : `, record ${where.record}`}`;
        throw new RemitError('ERR_JOURNAL_DAMAGED', `the journal is not what was written: ${what} (${at})`, {
          where: at,
          hint: 'Keep this folder as it is for an investigation, and compare it with a backup or an exported checkpoint.',
        });
      }
      output.result(verified, () =>
        [
          `verified: ${verified.size} records, ${verified.checkpoints} signed checkpoints, ${verified.signedSize} records under a signature`,
          ...(verified.firstRecord > 0
            ? [`removed: records 0 to ${verified.firstRecord - 1}; their leaf hashes verify, what they said is gone`]
            : []),
          ...verified.removals.map(removalText),
          ...(options.key === undefined ? [KEY_NOTE] : []),
          ...(verified.incompleteBytes > 0
            ? [`note: ${verified.incompleteBytes} bytes of an incomplete last record`]
            : []),
        ].join('\n'),
      );
    },
  );
}

async function showProof(output: Output, options: VerifyOptions, file: string): Promise<void> {
  const { key, from, record } = options;
  const folder = async (): Promise<string> => options.folder ?? placesOf(await loadConfig(options.config)).journal;
  const proof = await checkProof({ file, key, folder, record, from });
  const note = key === undefined ? `\n${KEY_NOTE}` : '';
  if (proof.kind === 'consistency') {
    const { origin, oldSize, size } = proof;
    output.result(
      { ok: true, ...proof },
      () => `verified: the log ${origin} of size ${size} goes on from the one of size ${oldSize}${note}`,
    );
    return;
  }
  const { payload, ...rest } = proof;
  const text = payload.toString('utf8');
  output.result(
    { ok: true, ...rest, record: text },
    () => `verified: record ${rest.index} is in the log ${rest.origin} of size ${rest.size}${note}\n${lineText(text)}`,
  );
}

function removalText({ record, time, first, end, since, until, keep, configuration, by }: Removal): string {
  const kept = [keep.days === undefined ? [] : `${keep.days} days`, keep.MiB === undefined ? [] : `${keep.MiB} MiB`];
  const written = since === undefined || until === undefined ? '' : `, written ${since} to ${until},`;
  return `  records ${first} to ${end - 1}${written} at ${time}: record ${record}; to be kept were ${kept.flat().join(' and ')} (${configuration}, run by ${by})`;
}
