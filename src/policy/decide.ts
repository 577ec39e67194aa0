import type { AccessRequest, Decision, Gate, PolicyArguments } from '../domain/decision.ts';
import { messageOf } from '../domain/errors.ts';
import type { FlowLabels, Origin } from '../domain/flow.ts';
import { type Principal, userKey } from '../domain/principal.ts';
import { type CallRisk, NO_RISK } from '../domain/risk.ts';
import { stepUpOf } from '../domain/step-up.ts';
import type { Task, TaskTemplate } from '../domain/task.ts';
import type { GovernedTool, ToolProfile } from '../domain/tool.ts';
import type { Clock, Log, Schedule } from '../seams/clock.ts';
import type { PolicyAnswer, PolicyEngine } from '../seams/policy-engine.ts';
import { type Denial, denial } from './denial.ts';
import { letThrough, type Observation, type Observer } from './observe.ts';
import { readCriticalArguments } from './read-arguments.ts';
import {
  checkBudget,
  checkClock,
  checkTaskBounds,
  checkTaskPrincipal,
  checkTaskState,
  checkTemplate,
  checkTool,
} from './task-gate.ts';
import { withinTime } from './within-time.ts';

export interface DiscoveryRequest {
  readonly principal: Principal;
  readonly task: Task;
  /** The task's template as it is now; undefined when it exists no more. */
  readonly template: TaskTemplate | undefined;
  readonly tool: GovernedTool;
}

export interface CallRequest extends DiscoveryRequest {
  /** What policies may read of it: `params.arguments` as parsed, exactly as forwarded; of a resource its `uri`. */
  readonly args: unknown;
  /** Calls that the task's own budget has left before this one; `not counted` for what takes none of it. */
  readonly callsLeft: number | 'not counted';
  /** Of an item with a profile of flow: the least good origin of each critical argument. */
  readonly provenance?: Readonly<Record<string, Origin>> | undefined;
  /** Left out: nothing has happened. */
  readonly risk?: CallRisk;
  /** Of the records of the call, where it has any. */
  readonly span?: string | undefined;
}

/**
 * Decides by intersection: profile ∩ task ∩ template ∩ budget ∩ arguments ∩ policy of the user, of the agent and of every
 * actor (guarantee D3). The first gate that denies decides; what no gate denies and one holds is a `step_up` with the terms of all that do.
 * Any fault denies (D1). Nothing here throws or rejects.
 */
export interface Decider {
  decideCall(request: CallRequest): Decision | Promise<Decision>;
  /** Whether a tool is listed: a decision of its own, that neither implies a call nor follows from one (D2). */
  decideDiscovery(request: DiscoveryRequest): Decision | Promise<Decision>;
}

export interface DeciderOptions {
  /** The engine in force, asked for once a decision: all links are judged by the same version. */
  readonly engine: () => PolicyEngine;
  /** Environment of this gateway, as policies see it. */
  readonly environment: string;
  /** What a task and its children have read. */
  readonly labelsOf: (task: Task) => FlowLabels;
  readonly clock: Clock;
  /** Bounds an engine that answers later: one that has not by then has failed. Left out: such an engine must bound itself. */
  readonly schedule?: Schedule;
  readonly log?: Log;
  /** Which denials of policies are recorded and let through; undefined: none. */
  readonly observer?: Observer | undefined;
}

/** One party whose right is asked for, and the gate that its answer stands for. */
interface Link {
  readonly gate: Gate;
  readonly subject: AccessRequest['subject'];
}

export function createDecider(options: DeciderOptions): Decider {
  return {
    decideCall: (request) => decide(options, request, 'call'),
    decideDiscovery: (request) => decide(options, request, 'discover'),
  };
}

export const FAULT = denial(
  'fault',
  'remit:fault',
  'The decision could not be made.',
  'Try again; if it stays so, tell the operator.',
);
const NO_VERSION = 'none';
const NO_PROVENANCE: Readonly<Record<string, Origin>> = {};

function decide(
  options: DeciderOptions,
  request: DiscoveryRequest & Partial<CallRequest>,
  action: AccessRequest['action'],
): Decision | Promise<Decision> {
  let policyVersion = NO_VERSION;
  try {
    const engine = options.engine();
    policyVersion = engine.version;
    const gates = passGates(options, request, action);
    if ('denied' in gates) return { ...gates.denied, policyVersion };
    const asked = askAll(engine, options, request, action, gates);
    if (!isPromise(asked)) return asked;
    return inTime(options, asked).then(
      // Asking took time: the task may have expired meanwhile.
      (decision) => {
        const denied = lateDenial(options, request.task);
        return denied === undefined ? decision : { ...denied, policyVersion };
      },
      (error) => ({ ...faulted(options, error), policyVersion }),
    );
  } catch (error) {
    return { ...faulted(options, error), policyVersion };
  }
}

const MOST_WAIT_MS = 5_000;

const inTime = ({ schedule }: DeciderOptions, asked: Promise<Decision>): Promise<Decision> =>
  schedule === undefined ? asked : withinTime(MOST_WAIT_MS, schedule, () => asked);

function faulted({ log }: DeciderOptions, error: unknown): Denial {
  try {
    log?.error({ error: messageOf(error) }, 'a decision could not be made: denied');
  } catch {
    // A log that fails changes nothing: the answer is a denial either way.
  }
  return FAULT;
}

/** The gates outside policy. */
function passGates(
  { clock }: DeciderOptions,
  request: DiscoveryRequest & Partial<CallRequest>,
  action: AccessRequest['action'],
): { denied: Denial } | { profile: ToolProfile; values: PolicyArguments } {
  const { principal, task, template, tool } = request;
  const now = clock();
  const { profile } = tool;
  const unfit = checkClock(now, task) ?? checkTool(tool);
  if (unfit !== undefined || profile === undefined) return { denied: unfit ?? FAULT };
  const denied =
    checkTaskPrincipal(principal, task) ??
    checkTaskState(task, now) ??
    checkTaskBounds(task, tool, profile) ??
    checkTemplate(request, profile, now);
  if (denied !== undefined) return { denied };
  if (action === 'discover') return { profile, values: {} };

  const { callsLeft = Number.NaN } = request;
  const spent = callsLeft === 'not counted' ? undefined : checkBudget(task, template, callsLeft);
  if (spent !== undefined) return { denied: spent };
  const reading = readCriticalArguments(profile, request.args);
  if ('values' in reading) return { profile, values: reading.values };
  const { argument, reason } = reading.problem;
  const what = argument === '' ? 'The call cannot be read' : `The argument ${JSON.stringify(argument)} cannot be read`;
  return {
    denied: denial('arguments', 'remit:arguments', `${what}: ${reason}.`, 'Correct the arguments and call again.'),
  };
}

function lateDenial(options: DeciderOptions, task: Task): Denial | undefined {
  try {
    const now = options.clock();
    return checkClock(now, task) ?? checkTaskState(task, now);
  } catch (error) {
    return faulted(options, error);
  }
}

/** Links of the chain, each judged alone. A group belongs to its issuer: `issuer#group`, as users are `issuer#subject`. */
function linksOf(principal: Principal): readonly Link[] {
  let links = knownLinks.get(principal);
  if (links === undefined) {
    links = makeLinks(principal);
    // Frozen only: a principal that can change would keep the rights of what it was.
    if (Object.isFrozen(principal)) knownLinks.set(principal, links);
  }
  return links;
}

const knownLinks = new WeakMap<Principal, readonly Link[]>();

function makeLinks({ user, agent, actors }: Principal): readonly Link[] {
  const links: Link[] = [];
  if (user !== undefined) {
    const groups = user.groups.map((group) => `${user.issuer}#${group}`);
    links.push({ gate: 'user_policy', subject: { kind: 'user', id: userKey(user), groups } });
  }
  links.push({ gate: 'agent_policy', subject: { kind: 'agent', id: agent, groups: [] } });
  for (const actor of actors) links.push({ gate: 'actor_policy', subject: { kind: 'agent', id: actor, groups: [] } });
  return links;
}

/** Asks the engine for every link, in turn, until one is denied. Stays synchronous while the engine is. */
function askAll(
  engine: PolicyEngine,
  { environment, labelsOf, observer }: DeciderOptions,
  request: DiscoveryRequest & Partial<CallRequest>,
  action: AccessRequest['action'],
  { profile, values }: { profile: ToolProfile; values: PolicyArguments },
): Decision | Promise<Decision> {
  const { principal, task, tool, provenance = NO_PROVENANCE, risk = NO_RISK } = request;
  const resource = { connector: tool.connector, tool: tool.ref, profile };
  const context = { principal, task, environment, arguments: values, labelsOf, provenance, risk };
  const { version } = engine;
  const links = linksOf(principal);
  const permits: PolicyAnswer[] = [];
  /** The first denial that is only observed. */
  let observed: { readonly denied: Decision; readonly by: Observation } | undefined;

  /** Whether it binds: one that is only observed is kept, and the next link is asked. */
  const binds = (denied: Decision, answer: PolicyAnswer): boolean => {
    const by = observer?.covering(request, answer);
    if (by === undefined) return true;
    observed ??= { denied, by };
    return false;
  };
  const askFrom = (index: number): Decision | Promise<Decision> => {
    for (let at = index; at < links.length; at += 1) {
      const { gate, subject } = links[at] as Link;
      const answer = engine.evaluate({ subject, action, resource, context });
      if (isPromise(answer)) {
        return answer.then((late) => {
          const denied = takeIn(gate, late, permits, version);
          if (denied !== undefined && binds(denied, late)) return denied;
          return askFrom(at + 1);
        });
      }
      const denied = takeIn(gate, answer, permits, version);
      if (denied !== undefined && binds(denied, answer)) return denied;
    }
    const decision = concluded(links, permits, version);
    if (observed === undefined) return decision;
    if (action === 'call') observer?.noteCall(observed.by);
    return letThrough(decision, observed.denied);
  };
  return askFrom(0);
}

/** Notes a permit, and a hold with its terms; anything else denies. */
function takeIn(
  gate: Gate,
  answer: PolicyAnswer,
  permits: PolicyAnswer[],
  policyVersion: string,
): Decision | undefined {
  if (answer.verdict === 'permit' || (answer.verdict === 'step_up' && answer.terms?.length)) {
    permits.push(answer);
    return undefined;
  }
  const { policies, reason } = answer;
  return {
    verdict: 'deny',
    gate,
    policies,
    reason,
    nextStep: answer.nextStep ?? 'Use another tool, or ask the owner of the policies.',
    policyVersion,
  };
}

/**
 * By the answer of the only link: the engine gives the same one again while nothing that it depends on has changed. The decision is the same
 * object then, of which others keep what they make of it.
 */
const permissions = new WeakMap<PolicyAnswer, Decision>();

/** No link denies: a permit, unless one of them holds the call. */
function concluded(links: readonly Link[], permits: readonly PolicyAnswer[], policyVersion: string): Decision {
  const { gate } = links.at(-1) as Link;
  const [only] = permits;
  const isOnly = permits.length === 1 && only !== undefined;
  const known = isOnly ? permissions.get(only) : undefined;
  if (known !== undefined && known.gate === gate && known.policyVersion === policyVersion) return known;
  if (!permits.every(isWhole)) return { ...FAULT, policyVersion };
  const holding = permits.findIndex((answer) => answer.verdict === 'step_up');
  if (holding !== -1) return held((links[holding] as Link).gate, permits, policyVersion);
  const reason = [...new Set(permits.map((answer) => answer.reason))].join(' ');
  const policies = [...new Set(permits.flatMap((answer) => answer.policies))];
  const decision: Decision = { verdict: 'permit', gate, policies, reason, nextStep: 'Go on.', policyVersion };
  if (isOnly) permissions.set(only, decision);
  return decision;
}

/** An answer without policies or reason comes from an engine that is broken: nothing it says is believed. */
function isWhole({ policies, reason }: PolicyAnswer): boolean {
  return Array.isArray(policies) && typeof reason === 'string';
}

function held(gate: Gate, permits: readonly PolicyAnswer[], policyVersion: string): Decision {
  const holds = permits.filter((answer) => answer.verdict === 'step_up');
  const terms = holds.flatMap((answer) => answer.terms ?? []);
  return {
    verdict: 'step_up',
    gate,
    policies: [...new Set(holds.flatMap((answer) => answer.policies))],
    reason: [...new Set(holds.map((answer) => answer.reason))].join(' '),
    nextStep:
      holds.find((answer) => answer.nextStep !== undefined)?.nextStep ?? 'A person must approve this call first.',
    policyVersion,
    stepUp: stepUpOf(terms.filter(({ by }, at) => terms.findIndex((one) => one.by === by) === at)),
  };
}

function isPromise<T extends object>(value: T | Promise<T>): value is Promise<T> {
  return 'then' in value && typeof value.then === 'function';
}
