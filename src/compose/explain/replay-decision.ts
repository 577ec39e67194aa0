import type { RecordedDecision } from '../../audit/recorded-decisions.ts';
import type { Decision, Gate } from '../../domain/decision.ts';
import { type DecisionFlow, type FlowLabels, isOutward, NO_LABELS, type ValueProvenance } from '../../domain/flow.ts';
import type { ToolRef } from '../../domain/ids.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { Principal } from '../../domain/principal.ts';
import { type CallRisk, NO_RISK, RISK_LEVELS, RISK_SUBJECTS } from '../../domain/risk.ts';
import type { Task } from '../../domain/task.ts';
import type { GovernedTool } from '../../domain/tool.ts';
import type { Hold } from '../../flow/flow-call.ts';
import { judgeRecorded, RECORDED_RULES, type RecordedJudgement } from '../../flow/judge-recorded.ts';
import { originsOf } from '../../flow/origins-of.ts';
import { judgeFlow } from '../../gateway/stages/flow.ts';
import { judgeRisk } from '../../gateway/stages/risk.ts';
import { createDecider, type Decider } from '../../policy/decide.ts';
import { isAsked, type PointScope } from '../../policy/external/scope.ts';
import type { PolicyEngine } from '../../seams/policy-engine.ts';
import { describedItem, withStatus } from '../connectors/described-items.ts';
import type { Estate } from '../estate.ts';

/** Why a decision cannot be made again, or need not be. */
export type LeftOut =
  /** Refused before any policy is asked, or no call at all: no policy changes it. */
  | 'before_policy'
  /** A question of a server, which its owner's configuration decides. */
  | 'question'
  /** Goes on with an earlier call, and is decided as that one was. */
  | 'goes_on'
  /** A decision point outside has said the last word, and is not asked again. */
  | 'external'
  | 'task_unknown'
  | 'record_incomplete'
  | 'item_gone'
  | 'agent_gone'
  | 'arguments_sealed'
  | 'arguments_erased'
  | 'provenance_unknown';

/** What one decision comes to, as far as policies have a say in it. */
export interface Verdict extends Pick<Decision, 'verdict' | 'gate' | 'policies' | 'reason'> {}

/** Arguments of a call, or why there are none. Not needed: no policy could read one. */
export type KnownArguments = JsonObject | 'not needed' | 'arguments_sealed' | 'arguments_erased';

export interface Replayed {
  readonly decision: Verdict;
  /**
   * Policy had denied it then, so that nothing after policy was asked. What can be asked now has been; of this the trail does not say enough, and it
   * may hold or deny the call.
   */
  readonly unjudged: readonly string[];
}

export interface Replayer {
  readonly version: string;
  /** Makes a recorded decision anew. */
  call(decided: RecordedDecision, args: KnownArguments): Promise<Replayed | LeftOut>;
  /** Whether an item is listed in a recorded listing. */
  listing(decided: RecordedDecision, item: GovernedTool): Promise<Verdict | LeftOut>;
}

/** Rules of the decider itself; what other gates refuse, it was not asked about. */
const DECIDERS: ReadonlySet<string> = new Set([
  'remit:undescribed',
  'remit:quarantined',
  'remit:suspended',
  'remit:task-principal',
  'remit:task-ended',
  'remit:task-tool',
  'remit:task-class',
  'remit:template',
  'remit:budget',
  'remit:arguments',
]);

/** Gates that are asked once policy has not denied. */
const AFTER_POLICY: ReadonlySet<unknown> = new Set<Gate>(['flow', 'risk']);

export interface ReplayOptions {
  /** Profiles or templates are not those of then: what the rules of flow said is asked again, as far as that can be. */
  readonly isOtherEstate?: boolean;
  /** Decision points outside, which are not asked again. */
  readonly points?: readonly PointScope[];
  /** Whether values of some classes are marked. */
  readonly isMarked?: boolean;
}

/** Makes recorded decisions anew, by the decider and engine that serve, at the time and with the inputs of then. */
export function createReplayer(estate: Estate, engine: PolicyEngine, options: ReplayOptions = {}): Replayer {
  const { isOtherEstate = false, points = [], isMarked = false } = options;
  let labels: FlowLabels = NO_LABELS;
  let now = 0;
  const decider: Decider = createDecider({
    engine: () => engine,
    environment: estate.environment,
    labelsOf: () => labels,
    clock: () => now,
  });
  const set = ({ record, before }: RecordedDecision): void => {
    now = Date.parse(record.time);
    labels = before;
  };

  return {
    version: engine.version,
    async call(decided, args) {
      const { record, task } = decided;
      const left = leftOut(estate, decided);
      if (left !== undefined) return left;
      const item = itemAt(estate, decided);
      if (item === undefined || task === undefined) return 'item_gone';
      if (args === 'arguments_sealed' || args === 'arguments_erased') return args;
      const flow = readFlow(record.detail.flow);
      const isCritical = (item.profile?.flow?.critical.length ?? 0) > 0;
      if (isCritical && flow === undefined) return 'provenance_unknown';
      const values = args === 'not needed' ? {} : args;
      set(decided);
      const effect = record.detail.effect === 'follow' ? 'follow' : 'call';
      const principal = principalOf(decided, task);
      const risk = readRisk(record.detail.risk);
      const template = estate.templates.get(task.template);
      const request = {
        ...{ principal, task, template, tool: item, args: values, risk },
        callsLeft: effect === 'call' ? decided.callsLeft : ('not counted' as const),
        provenance: flow && originsOf(flow.provenance),
      };
      const asked = await decider.decideCall(request);
      const operation = { item, args: values, effect } as const;
      const wasJudged = record.detail.verdict !== 'deny' || AFTER_POLICY.has(record.detail.gate);
      const again = judgeRecorded({
        ...{ item, template: template?.flow, isMarked },
        args: args === 'not needed' ? 'unknown' : args,
        zone: estate.connectors.get(item.connector)?.zone ?? 'unknown',
        labels: decided.before,
        provenance: flow?.provenance ?? [],
        outward: outwardBefore(decided, item, flow),
      });
      const hold = wasJudged ? recordedHold(decided, isOtherEstate ? again : undefined) : again?.hold;
      const facts = { labels: decided.before, provenance: flow?.provenance ?? [], outward: flow?.outward ?? 0 };
      const then = { flow: { judge: () => ({ hold, facts }) }, template: () => undefined };
      const flowing = again === undefined ? asked : judgeFlow(then, { task }, operation, asked);
      const judged = judgeRisk(recordedThreshold(decided), { principal, task }, operation, risk, flowing);
      const isOpen = !wasJudged && effect === 'call' && judged.verdict !== 'deny';
      const outside = points.filter((point) => isAsked(point, request, 'call')).map(({ id }) => `remit:external/${id}`);
      const unjudged = [...(again?.unknown ?? []), ...(risk === NO_RISK ? [] : ['remit:risk']), ...outside];
      return { decision: judged, unjudged: isOpen ? unjudged : [] };
    },
    async listing(decided, item) {
      const { task, isWhole, record } = decided;
      if (task === undefined) return 'task_unknown';
      if (!isWhole) return 'record_incomplete';
      if (record.agent === undefined || !estate.agents.has(record.agent)) return 'agent_gone';
      set(decided);
      const template = estate.templates.get(task.template);
      return decider.decideDiscovery({ principal: principalOf(decided, task), task, template, tool: item });
    },
  };
}

/** Whether a decision needs the arguments to be made anew: a policy can read them, or they are what was wrong with it. */
export function needsArguments(estate: Estate, decided: RecordedDecision): boolean {
  if (leftOut(estate, decided) !== undefined) return false;
  const item = itemAt(estate, decided);
  return (item?.profile?.criticalArguments.length ?? 0) > 0 || decided.record.detail.gate === 'arguments';
}

/** What the record says came of it. One that people let through was held: they decided the rest. */
export function recordedVerdict({ record }: RecordedDecision): Verdict {
  const { verdict, gate, policies, reason, approval, wouldDeny } = record.detail as Partial<Decision>;
  // Let through because policies are only observed there: what they say is what is compared.
  if (verdict === 'permit' && wouldDeny !== undefined) return { verdict: 'deny', ...wouldDeny };
  return {
    verdict: verdict === 'permit' && approval !== undefined ? 'step_up' : (verdict ?? 'deny'),
    gate: gate ?? 'fault',
    policies: (policies ?? []).filter((id) => !isOutside(id)),
    reason: reason ?? '',
  };
}

/** Denials that follow from what the record does not have: the store's answer, what a value was, what a handle stood for. */
const OF_THE_CALL: ReadonlySet<string> = new Set(['remit:unmarked', 'remit:canary', 'remit:handle']);

const isOutside = (id: string): boolean => id.startsWith('remit:external/');

function leftOut(estate: Estate, { record, task, isWhole }: RecordedDecision): LeftOut | undefined {
  const { effect, method, policies, gate, policyVersion, verdict } = record.detail as Partial<Decision> & {
    effect?: unknown;
    method?: unknown;
  };
  if (effect === 'ask') return 'question';
  if (effect !== 'call' && effect !== 'follow') return 'before_policy';
  // Who is asked outside is not asked again; what they only permitted as well was decided here.
  if (gate === 'external_policy') return 'external';
  const rule = policies?.find((id) => id.startsWith('remit:') && !isOutside(id));
  if (rule !== undefined && OF_THE_CALL.has(rule)) return 'before_policy';
  const isOwn = rule === undefined || DECIDERS.has(rule) || AFTER_POLICY.has(gate);
  if (!isOwn || policyVersion === undefined || record.tool === undefined) return 'before_policy';
  if (rule === 'remit:undescribed' && describedItem(estate, record.tool) === undefined) return 'before_policy';
  if (typeof method === 'string' && method.startsWith('tasks/')) return 'goes_on';
  // Its hold was lifted with the call that it belongs to.
  if (effect === 'follow' && verdict === 'permit' && AFTER_POLICY.has(gate)) return 'goes_on';
  if (task === undefined) return 'task_unknown';
  if (!isWhole) return 'record_incomplete';
  return record.agent !== undefined && estate.agents.has(record.agent) ? undefined : 'agent_gone';
}

/** The item as the configuration describes it now, in the state that the decision found it in. */
function itemAt(estate: Estate, { record }: RecordedDecision): GovernedTool | undefined {
  const { gate, policies = [] } = record.detail as Partial<Decision>;
  const item = describedItem(estate, record.tool as ToolRef);
  if (gate !== 'profile' || item === undefined) return item;
  if (policies.includes('remit:undescribed')) return withStatus(item, 'undescribed');
  if (policies.includes('remit:quarantined')) return withStatus(item, 'quarantined');
  return policies.includes('remit:suspended') ? withStatus(item, 'suspended') : item;
}

function principalOf({ record }: RecordedDecision, task: Task): Principal {
  const { agent = task.agent, actors = [], workload = '', tenant, detail } = record;
  return {
    tenant,
    user: task.user,
    agent,
    actors,
    workload,
    task: task.id,
    tokenId: typeof detail.token === 'string' ? detail.token : '',
    tokenExpiresAt: task.expiresAt,
  };
}

/**
 * What the rules of flow said then; some judged results, which nobody has kept.
 * @param again under another configuration: what can be asked again is, and the rest stays as it was
 */
function recordedHold({ record }: RecordedDecision, again: RecordedJudgement | undefined): Hold | undefined {
  const { gate, policies = [], reason = '' } = record.detail as Partial<Decision>;
  const rule = AFTER_POLICY.has(gate) ? policies.findLast((id) => id.startsWith('remit:') && id !== RISK) : undefined;
  const isKept = rule !== undefined && (again === undefined || !isAskedAgain(rule, again));
  return isKept ? { rule: rule as Hold['rule'], reason } : again?.hold;
}

/** Two rules have a part that goes by what is not on the trail, and then it may have been that part. */
const isAskedAgain = (rule: string, { unknown }: RecordedJudgement): boolean =>
  RECORDED_RULES.has(rule) &&
  !(rule === 'remit:zone' && unknown.includes('marked values')) &&
  !(rule === 'remit:reach' && unknown.includes('remit:reach'));

/** A permitted call that reaches outside has counted itself already. */
function outwardBefore(
  { record }: RecordedDecision,
  { profile }: GovernedTool,
  flow: DecisionFlow | undefined,
): number {
  const { outward = 0 } = flow ?? {};
  const isCounted = record.detail.verdict === 'permit' && profile?.flow !== undefined && isOutward(profile.flow.sink);
  return isCounted ? Math.max(0, outward - 1) : outward;
}

const RISK = 'remit:risk';

/** What the thresholds said then: they are the configuration's, and the levels move with time. */
function recordedThreshold({ record }: RecordedDecision): Parameters<typeof judgeRisk>[0] {
  const { gate, verdict, policies = [] } = record.detail as Partial<Decision>;
  const isBy = gate === ('risk' satisfies Gate) && policies.includes(RISK);
  const levels = readRisk(record.detail.risk);
  const kind = RISK_SUBJECTS.find((one) => levels[one] !== 'low') ?? 'task';
  const action = verdict === 'deny' ? ('deny' as const) : ('hold' as const);
  const judged = { action, by: { kind, id: '' }, level: levels[kind] };
  return { risk: { levels: { isQuiet: levels === NO_RISK, judge: () => (isBy ? judged : undefined) } } };
}

/** Levels are on the record where one of them is not the lowest. */
function readRisk(value: unknown): CallRisk {
  const levels = (value ?? {}) as Partial<CallRisk>;
  return RISK_SUBJECTS.every((kind) => RISK_LEVELS.some((level) => level === levels[kind]))
    ? (levels as CallRisk)
    : NO_RISK;
}

function readFlow(value: unknown): DecisionFlow | undefined {
  const flow = value as DecisionFlow | undefined;
  return Array.isArray(flow?.provenance as readonly ValueProvenance[] | undefined) ? flow : undefined;
}
