import { type FlowLabels, isAsGood, isOutward, type ValueProvenance } from '../domain/flow.ts';
import type { JsonObject } from '../domain/json.ts';
import type { TemplateFlow } from '../domain/task.ts';
import type { GovernedTool } from '../domain/tool.ts';
import { newFamily } from './family.ts';
import { findOrigin } from './find-origin.ts';
import type { FlowCall, FlowRule, FlowRuleId, Hold } from './flow-call.ts';
import type { MarkedValues } from './marked-values.ts';
import { provenance } from './rules/provenance.ts';
import { reach } from './rules/reach.ts';
import { thirdLeg } from './rules/third-leg.ts';
import { zones } from './rules/zones.ts';
import { scalarsOf } from './scalars.ts';
import { urlsIn } from './urls.ts';

/** What the trail says of the flow of one call, before it. */
export interface RecordedFlow {
  readonly item: GovernedTool;
  /** `unknown`: nobody has opened them. */
  readonly args: JsonObject | 'unknown';
  /** Zone of the item's connector. */
  readonly zone: string;
  readonly template: TemplateFlow | undefined;
  readonly labels: FlowLabels;
  readonly provenance: readonly ValueProvenance[];
  /** Calls that had reached outside. */
  readonly outward: number;
  /** Whether classes of data are marked: a call may carry a value of one, and values are not on the trail. */
  readonly isMarked: boolean;
}

/** Rules that went by what nobody has kept: whether a prompt asked for it, whether an address or a marked value stood in what was read. */
export type UnknownRule = 'remit:not-asked' | 'remit:url' | 'marked values' | 'remit:reach';

export interface RecordedJudgement {
  /** Of the rules that could be asked. */
  readonly hold: Hold | undefined;
  readonly unknown: readonly UnknownRule[];
}

/** Those that go by labels, by where values came from and by counts, all of which are on the trail; in the order in which they are asked. */
const RULES: readonly FlowRule[] = [provenance, thirdLeg, zones, reach];
export const RECORDED_RULES: ReadonlySet<string> = new Set<FlowRuleId>([
  'remit:provenance',
  'remit:third-leg',
  'remit:zone',
  'remit:reach',
]);

/** Asks the rules of flow about a call of the past, as the profile and the template are given. Origins of values stay those of then. */
export function judgeRecorded(recorded: RecordedFlow): RecordedJudgement | undefined {
  const { item, zone, template, labels, outward } = recorded;
  const { profile } = item;
  const flow = profile?.flow;
  if (profile === undefined || flow === undefined) return undefined;
  const needed = new Map(flow.critical.map(({ name, from }) => [name, from]));
  const values = recorded.provenance
    .filter(({ name }) => needed.has(name))
    .map((value) => ({ ...value, needed: needed.get(value.name) ?? value.needed }));
  // As when it is asked of a call: what names no destination reaches nobody.
  const sink = isOutward(flow.sink) && flow.critical.length > 0 && values.length === 0 ? 'internal' : flow.sink;
  const family = { ...newFamily(), labels, outward };
  const args = recorded.args === 'unknown' ? {} : recorded.args;
  const call: FlowCall = {
    ...{ item, profile, flow, args, zone, sink, family, provenance: values, marked: NO_MARKS },
    // Which connectors had been used is not on the trail.
    template: template && { ...template, connectors: undefined },
  };
  let hold: Hold | undefined;
  for (const rule of RULES) hold ??= rule(call);
  const unknown: UnknownRule[] = [];
  if (recorded.isMarked && sink !== 'none') unknown.push('marked values');
  if (template?.isNarrowedByPrompt === true && profile.actionClass !== 'read') unknown.push('remit:not-asked');
  if (isOutward(sink) && mayCarryUrl(recorded, [...flow.destinations, ...(template?.destinations ?? [])]))
    unknown.push('remit:url');
  if (template?.connectors !== undefined) unknown.push('remit:reach');
  return { hold, unknown };
}

const NO_MARKS: MarkedValues = {
  isOn: false,
  hasMarked: () => false,
  take: () => {},
  find: () => undefined,
};

/** Whether an address in it would have to be vouched for by what was read: no list of the owner's does. */
function mayCarryUrl({ args }: RecordedFlow, destinations: readonly string[]): boolean {
  if (args === 'unknown') return true;
  const nothingRead = newFamily();
  return Object.entries(args).some(([name, value]) =>
    scalarsOf(value, name).some(({ text }) =>
      urlsIn(text).some(
        (url) => !isAsGood(findOrigin(nothingRead, { destinations }, url, undefined).origin, 'pointed'),
      ),
    ),
  );
}
