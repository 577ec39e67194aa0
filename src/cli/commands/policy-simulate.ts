import type { Command } from 'commander';
import { buildEstate } from '../../compose/estate.ts';
import { needsEither, simulate } from '../../compose/explain/simulate.ts';
import { besidePolicies, makeSide, readSide } from '../../compose/explain/simulation-side.ts';
import { loadConfig } from '../../config/load-config.ts';
import { command } from '../command.ts';
import { orNameFolder, readSource } from '../policy-source.ts';
import { openForReplay, type ReplayOptions, readSpan, replayOptions } from '../replay-options.ts';
import { simulationText } from '../simulation-text.ts';
import { withWorkspace } from '../with-workspace.ts';

interface SimulateOptions extends ReplayOptions {
  readonly baseline?: string;
  readonly newConfig?: string;
}

export function addSimulateCommand(group: Command): void {
  command<SimulateOptions>(
    group,
    'simulate <folder>',
    'which recorded calls other policies would have decided otherwise, and why; changes nothing',
    (c) =>
      replayOptions(c, '7d')
        .option('--baseline <folder>', 'compare with these policies instead of those in force')
        .option('--new-config <file>', 'with the templates and profiles of this configuration, too'),
    async (output, options, [folder = '']) => {
      await withWorkspace(options, async (workspace) => {
        const { config, estate } = workspace;
        const other = options.newConfig === undefined ? undefined : (await loadConfig(options.newConfig)).config;
        const newEstate = other === undefined ? estate : buildEstate(other);
        const [before, source] = await orNameFolder('--baseline', async () => {
          const sourced = await readSource(options.baseline, workspace);
          return [makeSide(estate, sourced, besidePolicies(config)), sourced.source];
        });
        const beside = besidePolicies(other ?? config);
        const after = await readSide(newEstate, folder, { ...beside, isOtherEstate: other !== undefined });
        const span = readSpan(workspace, options);
        let needed = 0;
        for await (const decided of span.read()) if (needsEither(before, after, decided)) needed += 1;
        const opened = await openForReplay(workspace, options, 'remit policy simulate', needed);
        const result = await simulate(span, before, after, opened);
        output.result({ ...result, baselineFrom: source }, () => simulationText(result, source));
      });
    },
  );
}
