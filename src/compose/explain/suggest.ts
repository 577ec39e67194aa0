import type { LoadedPolicies } from '../../adapters/policy/load-policies.ts';
import {
  type NarrowedPolicy,
  narrowPolicies,
  type PolicyUse,
  PolicyUses,
  permitsCovering,
} from '../../adapters/policy/narrow-policies.ts';
import type { RecordedDecision } from '../../audit/recorded-decisions.ts';
import type { AgentId, TemplateId, ToolRef } from '../../domain/ids.ts';
import { userKey } from '../../domain/principal.ts';
import { coversTool } from '../../domain/task.ts';
import {
  type NarrowedTemplate,
  narrowTemplate,
  newTemplateUse,
  noteTask,
  type TemplateUse,
} from '../../policy/template-use.ts';
import { describedItem, describedItems } from '../connectors/described-items.ts';
import type { Estate } from '../estate.ts';
import type { OpenArguments } from './open-arguments.ts';
import type { RecordedSpan } from './recorded-span.ts';
import { createReplayer, needsArguments, type Replayer, recordedVerdict } from './replay-decision.ts';
import { shownIn } from './simulate.ts';
import { type WatchedEngine, watchPermits } from './watch-permits.ts';

/** What an agent may call under its templates and the permits, and what of it it has called. */
export interface GrantedUse {
  readonly agent: AgentId;
  readonly granted: number;
  readonly used: number;
  /** `used` of `granted`; 1 where nothing is granted. */
  readonly ratio: number;
  readonly unused: readonly ToolRef[];
}

export interface Suggestion {
  readonly since: string;
  readonly until: string;
  /** Calls that were permitted or held in that time; and those that could not be made again, which count as use of every permit that could have been it. */
  readonly calls: number;
  readonly notReplayed: number;
  readonly policies: readonly NarrowedPolicy[];
  readonly templates: readonly NarrowedTemplate[];
  readonly agents: readonly GrantedUse[];
  /** Share of agents that are granted more than they have used, 0 to 1. */
  readonly overPrivileged: number;
}

export interface SuggestionParts {
  readonly estate: Estate;
  readonly loaded: LoadedPolicies;
  readonly span: RecordedSpan;
  readonly openArguments: OpenArguments;
}

/** What could be taken away without any recorded call coming out otherwise: it never adds, and is never applied by itself. */
export async function suggest({ estate, loaded, span, openArguments }: SuggestionParts): Promise<Suggestion> {
  const engine = watchPermits(loaded);
  const replayer = createReplayer(estate, engine);
  const uses = new PolicyUses();
  const covering = permitsCovering(loaded);
  const templates = new Map<TemplateId, TemplateUse>();
  const called = new Map<AgentId, Set<ToolRef>>();
  let calls = 0;
  let notReplayed = 0;

  for await (const decided of span.read()) {
    noteTemplate(estate, templates, decided);
    if (decided.record.type === 'discovery') {
      await noteListing(estate, replayer, engine, uses, covering, decided);
      continue;
    }
    const { agent, tool } = decided.record;
    if (recordedVerdict(decided).verdict === 'deny' || agent === undefined || tool === undefined) continue;
    calls += 1;
    called.set(agent, (called.get(agent) ?? new Set()).add(tool));
    const args = needsArguments(estate, decided) ? await openArguments(decided) : 'not needed';
    const replayed = await replayer.call(decided, args);
    const noted = engine.take();
    // What comes out otherwise now says nothing of the permits that it was made by.
    if (typeof replayed !== 'string' && replayed.decision.verdict !== 'deny') {
      for (const { policy, use } of noted) uses.note(policy, use);
      continue;
    }
    notReplayed += 1;
    for (const use of usesOf(decided, 'call', tool)) for (const policy of covering(use)) uses.note(policy, use);
  }
  const agents = grantedUses(estate, covering, called);
  return {
    since: new Date(span.since).toISOString(),
    until: new Date(span.until).toISOString(),
    calls,
    notReplayed,
    policies: narrowPolicies(loaded, uses),
    templates: [...estate.templates.values()].map((template) => narrowTemplate(template, templates.get(template.id))),
    agents,
    overPrivileged: agents.length === 0 ? 0 : agents.filter(({ ratio }) => ratio < 1).length / agents.length,
  };
}

/** Everybody whose right a call was judged by. */
function usesOf({ task, record }: RecordedDecision, action: PolicyUse['action'], tool: ToolRef): PolicyUse[] {
  const user = task?.user;
  const agents = [record.agent, ...(record.actors ?? [])].filter((id) => id !== undefined);
  return [
    ...(user === undefined
      ? []
      : [
          {
            kind: 'user' as const,
            id: userKey(user),
            groups: user.groups.map((one) => `${user.issuer}#${one}`),
            action,
            tool,
          },
        ]),
    ...agents.map((id) => ({ kind: 'agent' as const, id, groups: [], action, tool })),
  ];
}

async function noteListing(
  estate: Estate,
  replayer: Replayer,
  engine: WatchedEngine,
  uses: PolicyUses,
  covering: (use: PolicyUse) => readonly string[],
  decided: RecordedDecision,
): Promise<void> {
  for (const ref of shownIn(decided.record) as ToolRef[]) {
    const item = describedItem(estate, ref);
    if (item === undefined) continue;
    const replayed = await replayer.listing(decided, item);
    const noted = engine.take();
    if (typeof replayed !== 'string' && replayed.verdict === 'permit') {
      for (const { policy, use } of noted) uses.note(policy, use);
      continue;
    }
    for (const use of usesOf(decided, 'discover', ref)) for (const policy of covering(use)) uses.note(policy, use);
  }
}

function noteTemplate(estate: Estate, uses: Map<TemplateId, TemplateUse>, decided: RecordedDecision): void {
  const { task, record, callsLeft } = decided;
  const template = task && estate.templates.get(task.template);
  if (task === undefined || template === undefined) return;
  const use = uses.get(template.id) ?? newTemplateUse();
  uses.set(template.id, use);
  noteTask(use, template, task);
  use.lastsMs = Math.max(use.lastsMs, Date.parse(record.time) - task.startedAt);
  if (record.type !== 'decision' || record.tool === undefined || record.detail.verdict === 'deny') return;
  use.tools.add(record.tool);
  const actionClass = describedItem(estate, record.tool)?.profile?.actionClass;
  if (actionClass !== undefined) use.classes.add(actionClass);
  if (record.detail.effect === 'call') use.calls = Math.max(use.calls, task.bounds.calls - callsLeft + 1);
}

/** M3 of the requirements: items that an agent could call, by its templates and any permit whose scope covers it. */
function grantedUses(
  estate: Estate,
  covering: ReturnType<typeof permitsCovering>,
  called: ReadonlyMap<AgentId, ReadonlySet<ToolRef>>,
): GrantedUse[] {
  const items = (['tool', 'resource', 'prompt'] as const).flatMap((kind) => describedItems(estate, kind));
  return [...estate.agents.keys()].map((agent) => {
    const templates = [...estate.templates.values()].filter(({ agents }) => agents.includes(agent));
    const granted = items
      .filter(({ ref, profile }) =>
        templates.some(
          ({ bounds }) =>
            coversTool(bounds.tools, ref) &&
            profile !== undefined &&
            bounds.actionClasses.includes(profile.actionClass),
        ),
      )
      .filter(({ ref }) => covering({ kind: 'agent', id: agent, groups: [], action: 'call', tool: ref }).length > 0)
      .map(({ ref }) => ref);
    const own = called.get(agent);
    const unused = granted.filter((ref) => own?.has(ref) !== true);
    const used = granted.length - unused.length;
    return { agent, granted: granted.length, used, ratio: granted.length === 0 ? 1 : used / granted.length, unused };
  });
}
