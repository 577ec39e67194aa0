import { resolve } from 'node:path';
import type { Command } from 'commander';
import { readInForce } from '../../compose/policies/read-in-force.ts';
import { RemitError } from '../../domain/errors.ts';
import { type Common, command } from '../command.ts';
import { lineText } from '../output.ts';
import { sourceText } from '../policy-source-text.ts';
import { withWorkspace } from '../with-workspace.ts';
import { writeNewFolder } from '../write-new-folder.ts';

export function addExportCommand(group: Command): void {
  command<Common>(
    group,
    'export <folder>',
    'write the policies that are in force at the nodes of the store, and their cases, into a new folder',
    (c) => c,
    async (output, options, [folder = '']) => {
      await withWorkspace(options, async (workspace) => {
        const { source, texts } = await readInForce(workspace);
        if (source.from === 'folder') {
          const why = source.isBeforeFirst
            ? 'no gateway has put policies in force at this store yet'
            : 'the store is one gateway’s alone, and holds no policies';
          throw new RemitError('ERR_USAGE', why, { where: source.folder, hint: 'They are in this folder.' });
        }
        await writeNewFolder(folder, texts);
        const written = resolve(folder);
        output.result({ ...source, written, files: texts.map(({ name }) => name) }, () =>
          [
            lineText(`${texts.length} files in ${written}: ${sourceText(source)}`),
            ...(source.folderHolds === 'the same'
              ? []
              : ['Nothing is applied: compare them, then put them in its place.']),
          ].join('\n'),
        );
      });
    },
  );
}
