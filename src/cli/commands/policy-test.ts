import { resolve } from 'node:path';
import type { Command } from 'commander';
import { buildEstate } from '../../compose/estate.ts';
import { describeFailure } from '../../compose/policies/case-report.ts';
import { type TriedPolicies, tryPolicies } from '../../compose/policies/try-policies.ts';
import { placesOf } from '../../compose/workspace.ts';
import { loadConfig } from '../../config/load-config.ts';
import { type Common, command } from '../command.ts';

/** Exit code where a case does not hold. */
const FAILED = 1;

export function addTestCommand(group: Command): void {
  command<Common>(
    group,
    'test [folder]',
    'run the *.cases.yaml beside the policies (or in another folder of policies) through the real decider; needs no running gateway',
    (c) => c,
    async (output, options, [folder]) => {
      const loaded = await loadConfig(options.config);
      const place = folder === undefined ? placesOf(loaded).policies : resolve(folder);
      const tried = await tryPolicies(place, buildEstate(loaded.config));
      const failing = tried.results.filter(({ mismatches }) => mismatches.length > 0);
      output.result(report(tried), () =>
        [
          ...failing.map(describeFailure),
          ...(failing.length > 0 ? [''] : []),
          `${tried.results.length - failing.length} of ${tried.results.length} cases hold.`,
          ...(tried.undecided.length === 0 || tried.results.length === 0
            ? []
            : [`No case is decided by: ${tried.undecided.join(', ')}.`]),
        ].join('\n'),
      );
      if (failing.length > 0) process.exitCode = FAILED;
    },
  );
}

function report({ version, results, undecided }: TriedPolicies): object {
  return {
    version,
    cases: results.map(({ of: { name, at }, decision, mismatches }) => {
      const { verdict, gate, policies, reason } = decision;
      return { at, name, holds: mismatches.length === 0, mismatches, decision: { verdict, gate, policies, reason } };
    }),
    undecided,
  };
}
