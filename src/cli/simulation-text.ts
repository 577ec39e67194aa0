import type { LeftOut } from '../compose/explain/replay-decision.ts';
import type { Simulation } from '../compose/explain/simulate.ts';
import type { PolicySource } from '../compose/policies/read-in-force.ts';
import type { Change } from '../policy/simulation.ts';
import { colours, lineText, table } from './output.ts';
import { sourceText } from './policy-source-text.ts';

/** In words of people, with what they could do about it. */
export const LEFT_OUT_TEXT: Readonly<Record<LeftOut, string>> = {
  before_policy: 'refused beside any policy (unknown, busy, not served, a fault): no policy changes that',
  question: 'questions of servers, which the configuration of their connector decides',
  goes_on: 'go on with an earlier call, and are decided as that one',
  external: 'denied or held by a decision point outside, which is not asked again',
  task_unknown: 'their task began before what is on the trail',
  record_incomplete: 'recorded by an earlier Remit, which did not write all that they were decided by',
  item_gone: 'their item is described no more',
  agent_gone: 'their agent is registered no more',
  arguments_sealed: 'their arguments are sealed: give --auditor-key, or leave out --sealed',
  arguments_erased: 'the key to their arguments has been erased',
  provenance_unknown: 'where their values came from was not recorded',
};

export function simulationText(simulation: Simulation, source: PolicySource): string {
  const { since, until, baseline, listings, changes, changed, unchanged, leftOut } = simulation;
  const from = sourceText(source);
  const lines = [
    `${since} to ${until}`,
    `baseline: ${baseline.reproduced} of ${baseline.of} calls reproduced by ${shortVersion(baseline.version)}` +
      (baseline.underOthers > 0 ? `; ${baseline.underOthers} were decided otherwise, under earlier policies` : ''),
    ...(from === undefined ? [] : [lineText(`baseline policies: ${from}`)]),
    ...(listings.of > 0 ? [`listings: ${listings.reproduced} of ${listings.of} items reproduced`] : []),
  ];
  if (baseline.differing.length > 0) {
    lines.push('', colours.yellow('NOT REPRODUCED under the very policies that decided them; they count for nothing:'));
    for (const { span, agent, tool, recorded, replayed } of baseline.differing) {
      const said = (one: typeof recorded): string => `${one.verdict} at ${one.gate} [${one.policies.join(', ')}]`;
      lines.push(lineText(`  ${span}  ${agent}  ${tool}  recorded ${said(recorded)}, replayed ${said(replayed)}`));
    }
  }
  const left = Object.entries(leftOut) as [LeftOut, number][];
  if (left.length > 0) {
    lines.push('', 'not replayed:');
    for (const [why, count] of left) lines.push(`  ${String(count).padStart(6)}  ${LEFT_OUT_TEXT[why]}`);
  }
  lines.push('', `under ${shortVersion(simulation.version)}: ${changed} of ${changed + unchanged} calls change`);
  return [...lines, ...changesText(changes)].join('\n');
}

/** Lines that say what other policies decide otherwise; none where that is nothing. */
export function changesText(changes: readonly Change[]): string[] {
  if (changes.length === 0) return [];
  const headings = ['COUNT', 'WHAT', 'AGENT', 'ITEM', 'CHANGE', 'BY', 'FOR EXAMPLE'];
  const lines = ['', table(headings, changes.map(changeRow), ''), '', ...whys(changes)];
  if (changes.some(({ unjudged }) => unjudged.length > 0)) {
    const why = 'Policy denied it then, so that these were not asked, and what they go by is not on the trail:';
    lines.push('', `* ${why} one of them may hold or deny it.`);
    const open = changes.filter(({ unjudged }) => unjudged.length > 0);
    lines.push(...open.map(({ agent, tool, unjudged }) => lineText(`  ${agent}  ${tool}: ${unjudged.join(', ')}`)));
  }
  return lines;
}

function changeRow({ count, kind, agent, tool, from, to, by, examples, unjudged }: Change): string[] {
  const change = `${from} → ${to}${unjudged.length > 0 ? '*' : ''}`;
  return [String(count), kind, agent, tool, change, by.join(', ') || 'nothing permits it', examples.at(-1) ?? ''];
}

/** Each reason once. */
function whys(changes: readonly Change[]): string[] {
  const said = new Map(changes.map(({ by, why }) => [by.join(', ') || 'no policy', why]));
  return [...said].map(([by, why]) => lineText(`${by}: ${why}`));
}

export const shortVersion = (version: string): string => version.replace(/^(sha256:[0-9a-f]{12}).*$/, '$1');
