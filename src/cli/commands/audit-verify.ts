import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Command } from 'commander';
import type { Removal } from '../../audit/find-removals.ts';
import { namesOf } from '../../compose/nodes/node-name.ts';
import { createSystem } from '../../compose/system.ts';
import { journalFolders } from '../../compose/trail/journal-folders.ts';
import { checkProof } from '../../compose/trail/proofs.ts';
import { verifyTrail } from '../../compose/trail/verify-trail.ts';
import { seenElsewhere } from '../../compose/trail/verify-trails.ts';
import { workerFolders } from '../../compose/workers/worker-folders.ts';
import { placesOf } from '../../compose/workspace.ts';
import { loadConfig } from '../../config/load-config.ts';
import { RemitError } from '../../domain/errors.ts';
import { type Common, command } from '../command.ts';
import { collect } from '../journal-options.ts';
import { lineText, type Output } from '../output.ts';
import { readTime } from '../record-options.ts';
import { showSeveral } from './audit-verify-several.ts';

interface VerifyOptions extends Common {
  readonly folder: readonly string[];
  readonly key: readonly string[];
  readonly anchor: readonly string[];
  readonly without: readonly string[];
  readonly seenBefore?: string;
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
        .option(
          '--folder <path>',
          'a journal, a copy of one, or a folder of several; again for each other node; left out: the configured one',
          collect,
          [],
        )
        .option(
          '--key <vkey>',
          'the verifier key as noted elsewhere, one for each journal; left out: the one in the folder is believed',
          collect,
          [],
        )
        .option('--anchor <file>', 'a checkpoint that was kept elsewhere, one for each journal', collect, [])
        .option('--without <node>', 'of several: a node whose journal is known to be absent', collect, [])
        .option('--seen-before <time>', 'of several: what they saw of each other later does not count')
        .option('--proof <file>', 'a proof, instead of a journal: with --key nothing else is needed')
        .option('--from <file>', 'of a proof that the log goes on: the earlier checkpoint, as it was kept')
        .option('--record <file>', 'of a proof of a record that was removed: its exact bytes'),
    async (output, options) => {
      if (options.proof !== undefined) return await showProof(output, options, options.proof);
      const { without, seenBefore } = options;
      const { folders, expected } = await placesToVerify(options);
      if (folders.length > 1 || expected !== undefined) {
        const now = createSystem({ log: 'silent' }).clock();
        const before = seenBefore === undefined ? undefined : readTime('--seen-before', seenBefore, now);
        const { key: keys, anchor: anchors } = options;
        return await showSeveral(output, folders, { keys, anchors, without, seenBefore: before, expected });
      }
      const key = onlyOne('--key', options.key);
      const [folder] = folders as [string];
      const verified = await verifyTrail(folder, {
        key,
        anchorFile: onlyOne('--anchor', options.anchor),
      });
      if (!verified.ok) {
        const { where, what } = verified.problem;
        const at = `${where.file}, byte ${where.offset}${where.record === undefined ? '' : `, record ${where.record}`}`;
        throw new RemitError('ERR_JOURNAL_DAMAGED', `the journal is not what was written: ${what} (${at})`, {
          where: at,
          hint: 'Keep this folder as it is for an investigation, and compare it with a backup or an exported checkpoint.',
        });
      }
      const others = await seenElsewhere(folder);
      output.result({ ...verified, ...(others.length > 0 && { others }) }, () =>
        [
          `verified: ${verified.size} records, ${verified.checkpoints} signed checkpoints, ${verified.signedSize} records under a signature`,
          ...(verified.isPart ? ['a copy of closed segments: the log goes on where it is written'] : []),
          ...(verified.firstRecord > 0
            ? [`removed: records 0 to ${verified.firstRecord - 1}; their leaf hashes verify, what they said is gone`]
            : []),
          ...verified.removals.map(removalText),
          ...(key === undefined ? [KEY_NOTE] : []),
          ...(others.length > 0 ? [othersText(others)] : []),
          ...(verified.incompleteBytes > 0
            ? [`note: ${verified.incompleteBytes} bytes of an incomplete last record`]
            : []),
        ].join('\n'),
      );
    },
  );
}

async function showProof(output: Output, options: VerifyOptions, file: string): Promise<void> {
  const { from, record } = options;
  const key = onlyOne('--key', options.key);
  const folder = async (): Promise<string> => onlyOne('--folder', (await placesToVerify(options)).folders) as string;
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

/** Journals, and the nodes whose journals have to be among them; undefined: of all that they have seen. */
async function placesToVerify({
  folder,
  config,
}: VerifyOptions): Promise<{ readonly folders: string[]; readonly expected?: readonly string[] }> {
  if (folder.length > 0) return { folders: await journalFolders(folder) };
  const { node, journal } = placesOf(await loadConfig(config));
  const workers = await workerFolders(node);
  if (workers.length === 0) return { folders: [journal] };
  // Of a data folder that workers serve: all of theirs. What nodes of other hosts have written is there.
  const own = [node, ...workers];
  const folders = own.map((one) => join(one, basename(journal))).filter((one) => existsSync(one));
  return { folders, expected: await namesOf(own) };
}

/** @throws `ERR_USAGE` */
function onlyOne(option: string, given: readonly string[]): string | undefined {
  if (given.length <= 1) return given[0];
  throw new RemitError('ERR_USAGE', `${option} is given ${given.length} times, and it is about one journal`, {
    hint: 'Give it once, or a --folder for each journal.',
  });
}

const othersText = (others: readonly { readonly node: string; readonly size: number }[]): string =>
  `note: it has seen ${others.length === 1 ? 'the journal of another node' : `journals of ${others.length} other nodes`}, not verified here (${others.map(({ node, size }) => `${node} with ${size} records`).join(', ')}); together: --folder for each`;

function removalText({ record, time, first, end, since, until, keep, configuration, by }: Removal): string {
  const kept = [keep.days === undefined ? [] : `${keep.days} days`, keep.MiB === undefined ? [] : `${keep.MiB} MiB`];
  const written = since === undefined || until === undefined ? '' : `, written ${since} to ${until},`;
  return `  records ${first} to ${end - 1}${written} at ${time}: record ${record}; to be kept were ${kept.flat().join(' and ')} (${configuration}, run by ${by})`;
}
