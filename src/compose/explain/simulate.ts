import type { RecordedDecision } from '../../audit/recorded-decisions.ts';
import type { AuditRecord } from '../../domain/record.ts';
import type { GovernedTool, ItemKind } from '../../domain/tool.ts';
import { type Change, type Compared, createChanges } from '../../policy/simulation.ts';
import { describedItem, describedItems } from '../connectors/described-items.ts';
import type { Estate } from '../estate.ts';
import type { OpenArguments } from './open-arguments.ts';
import type { RecordedSpan } from './recorded-span.ts';
import {
  type LeftOut,
  needsArguments,
  type Replayed,
  type Replayer,
  recordedVerdict,
  type Verdict,
} from './replay-decision.ts';

/** How far the policies of before come to what was recorded. */
export interface Baseline {
  readonly version: string;
  /** Decisions that could be made again, and those among them that came out as they are recorded. */
  readonly of: number;
  readonly reproduced: number;
  /** Decided under other policies than these, and otherwise than these would have. */
  readonly underOthers: number;
  /** Decided under these very policies, and yet otherwise: what they were decided by is not what was replayed. They count for nothing. */
  readonly differing: readonly Differing[];
}

export interface Differing {
  readonly span: string;
  readonly agent: string;
  readonly tool: string;
  readonly recorded: Omit<Verdict, 'reason'>;
  readonly replayed: Omit<Verdict, 'reason'>;
}

export interface Simulation {
  readonly since: string;
  readonly until: string;
  readonly baseline: Baseline;
  /** Items in listings, shown or withheld: the same. What a server did not offer is not counted. */
  readonly listings: { readonly of: number; readonly reproduced: number };
  readonly version: string;
  readonly changes: readonly Change[];
  /** Calls that come out alike, and those that do not. */
  readonly unchanged: number;
  readonly changed: number;
  /** Calls that could not be made again, by reason. */
  readonly leftOut: Readonly<Partial<Record<LeftOut, number>>>;
}

export interface Side {
  readonly estate: Estate;
  readonly replayer: Replayer;
}

/** Decisions that are shown when they are not reproduced. */
const MOST_DIFFERING = 20;

/** Makes every recorded decision of a span anew, under the policies of before and of after. Each stands for itself. */
export async function simulate(
  span: RecordedSpan,
  before: Side,
  after: Side,
  openArguments: OpenArguments,
): Promise<Simulation> {
  const changes = createChanges();
  const differing: Differing[] = [];
  const leftOut: Partial<Record<LeftOut, number>> = {};
  const baseline = { of: 0, reproduced: 0, underOthers: 0 };
  const listings = { of: 0, reproduced: 0 };
  let unchanged = 0;
  let changed = 0;

  for await (const decided of span.read()) {
    const { record } = decided;
    if (record.type === 'discovery') {
      await simulateListing(before, after, decided, listings, (compared) => changes.add(compared));
      continue;
    }
    const args = needsEither(before, after, decided) ? await openArguments(decided) : 'not needed';
    const was = await before.replayer.call(decided, args);
    if (typeof was === 'string') {
      leftOut[was] = (leftOut[was] ?? 0) + 1;
      continue;
    }
    baseline.of += 1;
    const recorded = recordedVerdict(decided);
    const isUnderThese = record.detail.policyVersion === before.replayer.version;
    if (isSame(recorded, was.decision, isUnderThese)) baseline.reproduced += 1;
    else if (isUnderThese) {
      differing.push({ ...about(record), recorded: plain(recorded), replayed: plain(was.decision) });
      continue;
    } else baseline.underOthers += 1;
    // The same call was held before, under the record ahead of this one.
    if (record.detail.verdict === 'permit' && record.detail.approval !== undefined) continue;
    const now = await after.replayer.call(decided, args);
    const to = typeof now === 'string' ? unknownNow(now) : now;
    const unjudged = was.decision.verdict === 'deny' ? to.unjudged : [];
    if (changes.add({ kind: 'call', ...about(record), from: was.decision, to: to.decision, unjudged })) changed += 1;
    else unchanged += 1;
  }
  return {
    since: new Date(span.since).toISOString(),
    until: new Date(span.until).toISOString(),
    baseline: { version: before.replayer.version, ...baseline, differing: differing.slice(-MOST_DIFFERING) },
    listings,
    version: after.replayer.version,
    changes: changes.list(),
    unchanged,
    changed,
    leftOut,
  };
}

export const needsEither = (before: Side, after: Side, decided: RecordedDecision): boolean =>
  needsArguments(before.estate, decided) || needsArguments(after.estate, decided);

/** Under the same version all of it must agree, under another the verdict. */
function isSame(recorded: Verdict, replayed: Verdict, isWhole: boolean): boolean {
  if (recorded.verdict !== replayed.verdict) return false;
  if (!isWhole) return true;
  return (
    recorded.gate === replayed.gate && [...recorded.policies].sort().join() === [...replayed.policies].sort().join()
  );
}

/** What only the configuration of before describes is not described any more. */
function unknownNow(why: LeftOut): Replayed {
  const reason = why === 'agent_gone' ? 'The agent is not registered any more.' : 'It is not described any more.';
  return {
    decision: { verdict: 'deny', gate: 'profile', policies: ['remit:undescribed'], reason },
    unjudged: [],
  };
}

const KINDS: Readonly<Record<string, ItemKind>> = {
  'tools/list': 'tool',
  'prompts/list': 'prompt',
  'resources/list': 'resource',
  'resources/templates/list': 'resource',
};

async function simulateListing(
  before: Side,
  after: Side,
  decided: RecordedDecision,
  counts: { of: number; reproduced: number },
  add: (compared: Compared) => void,
): Promise<void> {
  const { record } = decided;
  const { method, scope } = record.detail;
  const kind = KINDS[String(method)];
  if (kind === undefined) return;
  const shown = new Set(shownIn(record));
  const onlyOf = typeof scope === 'string' ? scope : undefined;
  for (const item of describedItems(before.estate, kind, onlyOf)) {
    const was = await before.replayer.listing(decided, item);
    if (typeof was === 'string') continue;
    const isShown = shown.has(item.ref);
    // Its server did not have it, or it was quarantined: nothing was decided.
    if (!isShown && was.verdict === 'permit') continue;
    counts.of += 1;
    if (isShown && was.verdict !== 'permit') continue;
    counts.reproduced += 1;
    const now = await listedNow(after, decided, item);
    add({ kind: 'listing', ...about(record), tool: item.ref, from: was, to: now, unjudged: [] });
  }
}

async function listedNow({ estate, replayer }: Side, decided: RecordedDecision, item: GovernedTool): Promise<Verdict> {
  const own = describedItem(estate, item.ref);
  const now = own === undefined ? 'item_gone' : await replayer.listing(decided, own);
  return typeof now === 'string' ? unknownNow(now).decision : now;
}

/** Refs that a listing showed, or whose connectors were asked. */
export function shownIn({ detail }: AuditRecord): readonly string[] {
  const shown = detail.shown ?? detail.asked;
  return Array.isArray(shown) ? shown.filter((ref): ref is string => typeof ref === 'string') : [];
}

const about = ({ agent, tool, span, seq }: AuditRecord) => ({
  agent: agent ?? 'nobody',
  tool: tool ?? 'nothing',
  span: span ?? `#${seq}`,
});

const plain = ({ verdict, gate, policies }: Verdict): Omit<Verdict, 'reason'> => ({ verdict, gate, policies });
