import { resolve } from 'node:path';
import type { Command } from 'commander';
import { writeAuditorKey } from '../../compose/trail/auditor-files.ts';
import { loadConfig } from '../../config/load-config.ts';
import { RemitError } from '../../domain/errors.ts';
import { type Common, command } from '../command.ts';

export function addAuditorCommands(program: Command): void {
  const group = program.command('auditor').description('who may read the content on the trail');

  command<Common & { out: string }>(
    group,
    'keygen <name>',
    'make the key pair of a configured auditor; the private half is for the auditor alone',
    (c) => c.requiredOption('--out <file>', 'where the private key goes: away from the gateway'),
    async (output, options, [name = '']) => {
      const loaded = await loadConfig(options.config);
      const auditor = Object.hasOwn(loaded.config.auditors, name) ? loaded.config.auditors[name] : undefined;
      if (auditor === undefined) {
        throw new RemitError('ERR_NOT_FOUND', `no auditor is called ${name}`, {
          where: loaded.path,
          hint: `Add it first: auditors: { ${name || 'carol'}: { publicKey: auditors/${name || 'carol'}.json } }.`,
        });
      }
      const files = { privateKey: resolve(options.out), publicKey: loaded.resolvePath(auditor.publicKey) };
      const { kid } = await writeAuditorKey(files);
      output.result({ auditor: name, kid, ...files }, () =>
        [
          `The private key of ${name} is in ${files.privateKey}: take it away from this machine. It opens content; without it nothing does.`,
          `The public key is in ${files.publicKey}; a gateway seals content for it from its next start on.`,
        ].join('\n'),
      );
    },
  );
}
