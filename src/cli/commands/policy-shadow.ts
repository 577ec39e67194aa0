import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { ShadowStatus } from '../../compose/policies/shadow-policies.ts';
import { placesOf } from '../../compose/workspace.ts';
import { loadConfig } from '../../config/load-config.ts';
import { RemitError } from '../../domain/errors.ts';
import { callEveryAdmin } from '../admin-client.ts';
import { type Common, command } from '../command.ts';
import { changesText, shortVersion } from '../simulation-text.ts';

interface ShadowOptions extends Common {
  readonly for?: string;
  readonly stop: boolean;
}

const UNITS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 };

export function addShadowCommand(group: Command): void {
  command<ShadowOptions>(
    group,
    'shadow [folder]',
    'ask other policies beside those in force, of real calls, for a while: what differs is recorded, and changes nothing',
    (c) =>
      c
        .option('--for <time>', 'how long: 30m, 24h, 7d; at most 14d')
        .option('--stop', 'end it, with what was found', false),
    async (output, options, [folder]) => {
      const { socket } = placesOf(await loadConfig(options.config));
      const given = operationOf(folder, options);
      const answers = await callEveryAdmin<{ shadow?: ShadowStatus }>(socket, ...given);
      const all = answers.flatMap(({ shadow }) => shadow ?? []);
      output.result(all, () => (all.length === 0 ? 'No policies are tried.' : all.map(statusText).join('\n\n')));
    },
  );
}

function operationOf(folder: string | undefined, options: ShadowOptions): [string, Readonly<Record<string, string>>] {
  if (options.stop && folder === undefined) return ['end-shadow', {}];
  if (folder === undefined && options.for === undefined) return ['shadow', {}];
  const [, count = '', unit = ''] = /^(\d{1,4})([mhd])$/.exec(options.for ?? '') ?? [];
  const ms = Number(count) * (UNITS[unit] ?? 0);
  if (folder === undefined || options.stop || !(ms > 0)) {
    throw new RemitError('ERR_USAGE', 'a trial needs a folder and an end', {
      hint: '`remit policy shadow FOLDER --for 24h`, `remit policy shadow` to look, `remit policy shadow --stop`.',
    });
  }
  return ['begin-shadow', { folder: resolve(folder), until: new Date(Date.now() + ms).toISOString() }];
}

function statusText({ folder, version, by, since, until, counts, changes }: ShadowStatus): string {
  const { same, differing, failed, dropped } = counts;
  return [
    `${shortVersion(version)} of ${folder}, tried since ${since} until ${until}, by ${by}`,
    `${differing} of ${same + differing} calls would be decided otherwise${failed > 0 ? `; ${failed} failed` : ''}${dropped > 0 ? `; ${dropped} were not asked about, as too many waited` : ''}`,
    ...changesText(changes),
  ].join('\n');
}
