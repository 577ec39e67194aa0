import { resolve } from 'node:path';
import { type Score, scoreAlone } from './compare.ts';
import { OUTBOUND } from './outbound-plan.ts';
import { type Revision, runClientScenario, type Suite } from './suite.ts';

export interface OutboundRun {
  readonly score: Score;
  /** Scored scenarios that did not run, each with the reason. */
  readonly notRun: readonly { readonly scenario: string; readonly revision: Revision; readonly reason: string }[];
}

/** Runs the client scenarios of one revision against the gateway's upstream side, one after the other. */
export async function runOutbound(suite: Suite, revision: Revision, say: (line: string) => void): Promise<OutboundRun> {
  const required = (await suite.requirements(revision)).client;
  const command = `${process.execPath} ${resolve('dist/conformance/outbound-client.js')}`;
  const planned = OUTBOUND.filter(({ revisions }) => revisions.includes(revision));
  const scores: Score[] = [];
  for (const { scenario, auth } of planned) {
    const isExtension = auth?.credential === 'client_credentials';
    const { results, problem } = await runClientScenario(suite, command, scenario, revision, isExtension);
    const checks = scoreAlone(results, [scenario]);
    // The suite sees only what reaches its server. That the agent got its answer is ours to ask.
    const agent = problem === undefined ? [] : [{ scenario, check: 'agent', reason: problem }];
    const score = { ...checks, misses: [...checks.misses, ...agent] };
    const counts = required.includes(scenario);
    say(`   ${scenario}: ${score.passed}/${score.scored}${counts ? '' : ' (not scored by the suite)'}`);
    if (counts) scores.push(score);
    else for (const { check, reason } of score.misses) say(`     not scored  ${scenario} ${check}: ${reason}`);
  }
  return {
    score: {
      scored: scores.reduce((sum, { scored }) => sum + scored, 0),
      passed: scores.reduce((sum, { passed }) => sum + passed, 0),
      misses: scores.flatMap(({ misses }) => misses),
    },
    notRun: required
      .filter((scenario) => !planned.some((one) => one.scenario === scenario))
      .map((scenario) => ({ scenario, revision, reason: 'no plan for it' })),
  };
}
