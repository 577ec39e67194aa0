import { writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { makeProof, takeCheckpoint } from '../../compose/trail/proofs.ts';
import { placesOf } from '../../compose/workspace.ts';
import { loadConfig } from '../../config/load-config.ts';
import { type Common, command, readCount } from '../command.ts';

interface ProveOptions extends Common {
  readonly from?: string;
  readonly to?: string;
  readonly folder?: string;
  readonly out?: string;
}

const folderOf = async ({ folder, config }: { folder?: string; config: string }): Promise<string> =>
  folder ?? placesOf(await loadConfig(config)).journal;

/** `remit audit prove` and `remit audit checkpoint`: what others verify with the public key alone. */
export function addProveCommands(group: Command): void {
  command<ProveOptions>(
    group,
    'prove [seq]',
    'prove to others that a record is in the log, or that the log goes on from a checkpoint that they have',
    (c) =>
      c
        .option('--from <file>', 'a checkpoint that was kept: proves that the log goes on from it')
        .option('--to <file>', 'a checkpoint to prove against; left out: the newest')
        .option('--folder <path>', 'a journal, or a copy of one; left out: the configured one')
        .option('-o, --out <file>', 'where to write the proof; left out: standard output'),
    async (output, options, [seq]) => {
      const { from, to, out } = options;
      const { text, size } = await makeProof(await folderOf(options), {
        seq: seq === undefined ? undefined : readCount('prove', seq),
        from,
        to,
      });
      const bytes = Buffer.from(text, 'latin1');
      if (out !== undefined) {
        await writeFile(out, bytes);
        output.result({ proof: out, size }, () => `${out}: a proof against the checkpoint of size ${size}`);
      } else if (output.isJson) output.result({ proof: bytes.toString('utf8'), size }, () => '');
      else process.stdout.write(bytes);
    },
  );

  command<Common & { folder?: string }>(
    group,
    'checkpoint',
    'print the newest signed checkpoint, to be kept elsewhere',
    (c) => c.option('--folder <path>', 'a journal, or a copy of one; left out: the configured one'),
    async (output, options) => {
      const { size, note } = await takeCheckpoint(await folderOf(options));
      if (output.isJson) output.result({ checkpoint: note, size }, () => '');
      else process.stdout.write(note);
    },
  );
}
