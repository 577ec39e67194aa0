import type { LoadedPolicy } from '../../adapters/policy/load-policies.ts';
import type { CallTrace, TracedDecision } from '../../audit/trace-call.ts';
import type { Gate } from '../../domain/decision.ts';
import { type FlowLabels, isAsGood } from '../../domain/flow.ts';
import { userKey } from '../../domain/principal.ts';
import { coversTool, type Task, type TaskTemplate } from '../../domain/task.ts';
import type { GovernedTool } from '../../domain/tool.ts';
import { describeOrigin } from '../../flow/describe-origin.ts';
import { describedItem } from '../connectors/described-items.ts';
import type { Estate } from '../estate.ts';
import { suggestChange } from './suggest-change.ts';

export interface GateStep {
  readonly gate: Gate;
  /** `passed`, `denied` and `held` are the gate's own word; a gate behind one that denied is not asked. */
  readonly said: 'passed' | 'denied' | 'held' | 'not asked' | 'does not apply';
  readonly what: string;
}

export interface ExplainedPolicy {
  readonly id: string;
  /** Where it stands in the policies that were looked at. */
  readonly at?: string;
  readonly effect?: 'permit' | 'forbid';
  readonly text?: string;
}

/** One call, from who made it to what came of it. What is configured now is named as such. */
export interface CallExplanation {
  readonly trace: CallTrace;
  readonly who: {
    readonly user: string | null;
    readonly groups: readonly string[];
    readonly agent: string;
    readonly actors: readonly string[];
    readonly workload: string;
  };
  readonly item: GovernedTool | undefined;
  readonly template: TaskTemplate | undefined;
  readonly gates: readonly GateStep[];
  readonly policies: readonly ExplainedPolicy[];
  /** Whether the policies that decided are those that were looked at; undefined where none could be. */
  readonly isSameVersion: boolean | undefined;
  readonly provenance: readonly string[];
  /** What the call came to, in a sentence. */
  readonly effect: string;
  /** What would have to change for it to come out otherwise, best first; empty for a call that was made. */
  readonly change: readonly string[];
}

/** Policies that an explanation points at: those in force, or of a folder that was named. */
export interface PoliciesNow {
  readonly version: string;
  readonly policies: readonly LoadedPolicy[];
}

/** @param now undefined where they cannot be read: what was decided is on the trail all the same */
export function explainCall(trace: CallTrace, estate: Estate, now: PoliciesNow | undefined): CallExplanation {
  const { record, task } = trace;
  const item = record.tool === undefined ? undefined : describedItem(estate, record.tool);
  const template = task && estate.templates.get(task.template);
  const last = trace.decisions.at(-1) as TracedDecision;
  const ids = [...new Set(trace.decisions.flatMap(({ policies }) => policies))];
  const policies = ids.map((id): ExplainedPolicy => {
    const found = now?.policies.find((one) => one.id === id);
    return found === undefined
      ? { id }
      : { id, at: `${found.file}:${found.line}`, effect: found.effect, text: found.text };
  });
  const parts = { trace, item, template, decision: last, estate };
  return {
    trace,
    who: {
      user: task?.user ? userKey(task.user) : (record.user ?? null),
      groups: task?.user?.groups ?? [],
      agent: record.agent ?? 'nobody',
      actors: record.actors ?? [],
      workload: record.workload ?? 'not known',
    },
    item,
    template,
    gates: gatesOf(trace, item),
    policies,
    isSameVersion: now && last.policyVersion === now.version,
    provenance: (trace.provenance ?? []).map(
      (value) =>
        `${value.argument}: ${describeOrigin(value)} (${value.origin}); ${isAsGood(value.origin, value.needed) ? 'good enough' : `not good enough, ${value.needed} is needed`}`,
    ),
    effect: effectOf(trace, last),
    change: suggestChange(parts),
  };
}

const ORDER: readonly Gate[] = [
  'profile',
  'task',
  'budget',
  'arguments',
  'user_policy',
  'agent_policy',
  'actor_policy',
  'flow',
  'risk',
  'external_policy',
];

function gatesOf(trace: CallTrace, item: GovernedTool | undefined): GateStep[] {
  const first = trace.decisions[0] as TracedDecision;
  const at = ORDER.indexOf(first.gate);
  return ORDER.map((gate, index): GateStep => {
    const what = whatOf(gate, trace, item);
    if (gate === first.gate && first.verdict !== 'permit') {
      const by = first.policies.join(', ') || 'no policy permits it';
      return { gate, said: first.verdict === 'deny' ? 'denied' : 'held', what: `${by}: ${first.reason}` };
    }
    // A gate before all of these (authentication, a fault) asks none of them.
    if (first.verdict === 'deny' && (at < 0 || index > at)) return { gate, said: 'not asked', what: '' };
    if (!applies(gate, trace, item)) return { gate, said: 'does not apply', what };
    return { gate, said: 'passed', what };
  });
}

function applies(gate: Gate, { record, provenance }: CallTrace, item: GovernedTool | undefined): boolean {
  switch (gate) {
    case 'user_policy':
      return record.user !== undefined;
    case 'actor_policy':
      return (record.actors?.length ?? 0) > 0;
    case 'flow':
      return item?.profile?.flow !== undefined || provenance !== undefined;
    case 'external_policy':
      return (record.detail.policies as readonly string[]).some((id) => id.startsWith('remit:external'));
    case 'budget':
      return record.detail.effect === 'call';
    default:
      return true;
  }
}

function whatOf(gate: Gate, trace: CallTrace, item: GovernedTool | undefined): string {
  const { record, task, callsLeft, risk } = trace;
  const permitted = trace.decisions.find(({ verdict }) => verdict === 'permit');
  switch (gate) {
    case 'profile':
      return item?.profile === undefined
        ? 'not described now'
        : [
            `described as ${item.profile.actionClass}`,
            ...item.profile.dataClasses,
            item.profile.flow && `sink ${item.profile.flow.sink}`,
          ]
            .filter(Boolean)
            .join(', ');
    case 'task':
      return task === undefined
        ? ''
        : `declared: ${patternFor(task, record.tool) ?? 'not this item'}, classes ${task.bounds.actionClasses.join(', ')}`;
    case 'budget':
      return record.detail.effect === 'call' && task !== undefined
        ? `${callsLeft} of ${task.bounds.calls} calls were left`
        : 'takes none';
    case 'arguments':
      return item?.profile === undefined
        ? ''
        : item.profile.criticalArguments
            .map(({ name, type, required }) => `${name}: ${type}${required ? '' : '?'}`)
            .join(', ');
    case 'user_policy':
      return record.user === undefined ? 'no user' : (permitted?.policies.join(', ') ?? '');
    case 'agent_policy':
      return permitted?.policies.filter((id) => !id.startsWith('remit:')).join(', ') ?? '';
    case 'actor_policy':
      return (record.actors ?? []).join(', ') || 'no actors';
    case 'flow':
      return item?.profile?.flow === undefined
        ? 'no profile of flow'
        : `${labelsText(trace.before)} → ${labelsText(trace.after)}`;
    case 'risk':
      return risk === undefined
        ? 'low'
        : Object.entries(risk)
            .map(([kind, level]) => `${kind} ${level}`)
            .join(', ');
    default:
      return '';
  }
}

const patternFor = (task: Task, tool: CallTrace['record']['tool']): string | undefined =>
  tool === undefined ? undefined : task.bounds.tools.find((pattern) => coversTool([pattern], tool));

export function labelsText({ trust, dataClasses, zones }: FlowLabels): string {
  const rest = [...dataClasses, ...zones.map((zone) => `zone ${zone}`)];
  return [trust === 'trusted' && rest.length === 0 ? 'nothing read' : trust, ...rest].join(', ');
}

function effectOf({ outcome }: CallTrace, { verdict }: TracedDecision): string {
  if (verdict !== 'permit') return 'Nothing was sent.';
  if (outcome === undefined) return 'It was permitted; what came of it is not on the trail (yet).';
  const { status, durationMs, resultBytes, code, problem } = outcome;
  switch (status) {
    case 'ok':
      return `It was made, and answered in ${durationMs} ms${resultBytes === undefined ? '' : ` with ${resultBytes} bytes`}.`;
    case 'tool_error':
      return `It was made; the server says that it failed (${durationMs} ms).`;
    case 'not_forwarded':
      return `It was permitted, and nothing was sent: ${String(code ?? problem ?? 'no reason is recorded')}.`;
    case 'input_required':
      return 'It was sent; the server asked for more first.';
    case 'rpc_error':
      return `It was sent; the server refused it (${String(code ?? problem ?? 'no reason')}).`;
    default:
      return `It was sent, and what it did is not known (${String(status)}${problem === undefined ? '' : `: ${String(problem)}`}).`;
  }
}
