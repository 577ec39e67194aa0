import type {
  AuthorizationAnswer,
  EntityJson,
  StatefulAuthorizationCall,
  TypeAndId,
} from '@cedar-policy/cedar-wasm/nodejs';
import type { AccessRequest } from '../../domain/decision.ts';
import { messageOf } from '../../domain/errors.ts';
import type { ToolProfile } from '../../domain/tool.ts';
import type { Log } from '../../seams/clock.ts';
import type { PolicyAnswer, PolicyEngine } from '../../seams/policy-engine.ts';
import { type AnswerCache, createAnswerCache, shortenKey } from './answer-cache.ts';
import { type CedarRuntime, cedar as realCedar } from './cedar.ts';
import { DISCOVER, uid } from './cedar-names.ts';
import { buildContext, findMisfit, fixedEntities, principalEntity, relevantGroups } from './cedar-request.ts';
import { createSlicer, type Slice } from './cedar-slices.ts';
import { emptySlot, fillSlot } from './cedar-slots.ts';
import { versionOf } from './cedar-version.ts';
import { compileSlice, type Program } from './compile-slice.ts';
import { atOnce, inTurns } from './in-turns.ts';
import type { LoadedPolicies, LoadedPolicy } from './load-policies.ts';
import { answerOf, denyByDefault, holdOf, refuse } from './policy-answer.ts';
import { type Estate, indexInventory, type PolicyTool } from './policy-inventory.ts';

export interface CedarEngineOptions extends LoadedPolicies {
  /**
   * Answers again from memory when all that the slice's policies can look at is the same. Sound because Cedar is a pure
   * function of that, and because no field of the context is the time of the call. Default true.
   */
  readonly reuse?: boolean;
  /** Most answers kept. Default 10,000. */
  readonly reuseLimit?: number;
  /**
   * Evaluates in process what is written in the subset that `compile-expression.ts` reads; Cedar is asked as well at a question's first time
   * and every 1,024th. Default true.
   */
  readonly compile?: boolean;
  readonly log?: Log;
}

export interface CedarEngine extends PolicyEngine {
  evaluate(request: AccessRequest): PolicyAnswer;
  /** Questions that Cedar was asked, answers that were given again from memory, and questions that were evaluated in process. */
  readonly counts: { readonly asked: number; readonly reused: number; readonly compiled: number };
  /** Gives the parsed policies back once another engine has taken over. From then on this one denies. Idempotent. */
  release(): void;
}

/** A slice as it is asked about one tool and action, with the parts of the question that no call changes. */
interface Entry {
  readonly slice: Slice;
  readonly action: TypeAndId;
  readonly resource: TypeAndId;
  readonly fixed: EntityJson[];
  readonly number: number;
  /** Not made until it is first needed; `cedar` where Cedar has to be asked. */
  program: Program | 'cedar' | undefined;
  /** Evaluated in process so far. */
  evaluated: number;
  /** Agents as principals of this entry: there are only the registered ones. */
  readonly agents: Map<string, Asker>;
  /** The same question without the policies that an approval lifts; undefined where there is none of them. */
  readonly lifted: Entry | undefined;
}

/** Who asks, and all entities that are sent with the question. */
interface Asker {
  readonly principal: TypeAndId;
  readonly entities: EntityJson[];
  /** Start of the key under which an answer is kept: the entry and the asker, each in a form that cannot run into the next. */
  readonly key: string;
}

interface ToolEntries {
  readonly tool: PolicyTool;
  /** By action and kind of subject. */
  readonly choices: ReadonlyMap<string, { named: ReadonlyMap<string, Entry>; anyone: Entry }>;
  /** Profiles of requests that have been compared with the tool's own and agree. */
  readonly agreed: WeakSet<ToolProfile>;
}

interface Parts {
  readonly cedar: CedarRuntime;
  readonly estate: Estate;
  readonly tools: ReadonlyMap<string, ToolEntries>;
  /** By id, with the place in the order of loading. */
  readonly policies: ReadonlyMap<string, { readonly policy: LoadedPolicy; readonly order: number }>;
  readonly cache: AnswerCache | undefined;
  readonly counts: { asked: number; reused: number; compiled: number };
  /** Whether questions are evaluated in process at all: no more once Cedar has said otherwise. */
  compiles: boolean;
  readonly log: Log | undefined;
}

/** Runtimes that have trapped. The state inside WebAssembly is undefined then: nothing it says later can be trusted. */
const trapped = new WeakSet<CedarRuntime>();

const isTrap = (error: unknown): boolean =>
  error instanceof Error && (error.name === 'RuntimeError' || error instanceof RangeError);

/**
 * Policy engine on Cedar, in process and synchronous. Policies are sliced per tool, action and principal when it is made.
 * @throws `ERR_POLICY_INVALID` at construction only; `evaluate` denies instead of throwing (guarantee D1)
 */
export function createCedarEngine(options: CedarEngineOptions, cedar: CedarRuntime = realCedar): CedarEngine {
  return atOnce(makeEngine(options, cedar));
}

/** The same, letting others in while it is made: with thousands of tools that takes seconds. @throws also the reason of the signal */
export function createCedarEngineInTurns(
  options: CedarEngineOptions,
  cedar: CedarRuntime = realCedar,
  signal?: AbortSignal,
): Promise<CedarEngine> {
  return inTurns(makeEngine(options, cedar), signal);
}

function* makeEngine(options: CedarEngineOptions, cedar: CedarRuntime): Generator<void, CedarEngine> {
  const estate = indexInventory(options.inventory);
  yield;
  const version = versionOf(options);
  yield;
  const slicer = createSlicer(options.policies, (set) => fillSlot(cedar, set));
  let tools: ReadonlyMap<string, ToolEntries> | undefined;
  try {
    tools = yield* sliceTools(estate, slicer);
  } finally {
    if (tools === undefined) for (const slot of slicer.slots.splice(0)) emptySlot(cedar, slot);
  }
  const cache = options.reuse === false ? undefined : createAnswerCache(options.reuseLimit ?? 10_000);
  const policies = new Map(options.policies.map((policy, order) => [policy.id, { policy, order }]));
  const counts = { asked: 0, reused: 0, compiled: 0 };
  const compiles = options.compile !== false;
  const parts: Parts = { cedar, estate, tools, policies, cache, counts, compiles, log: options.log };
  let isReleased = false;

  return {
    version,
    counts,
    evaluate(request) {
      if (isReleased) return refuse('These policies have been replaced.', 'Try again: the new ones decide.');
      if (trapped.has(cedar))
        return refuse('The policy engine has failed and denies everything.', 'Restart the gateway.');
      try {
        return evaluate(parts, request);
      } catch (error) {
        report(options.log, messageOf(error));
        return refuse('The policy engine failed on this request.', 'Report it to the operator of the gateway.');
      }
    },
    release() {
      isReleased = true;
      cache?.clear();
      for (const slot of slicer.slots.splice(0)) emptySlot(cedar, slot);
    },
  };
}

function report(log: Log | undefined, error: string): void {
  try {
    log?.error({ error }, 'the policy engine failed: denied');
  } catch {
    // A log that fails changes nothing: the answer is a denial either way.
  }
}

/** A step a tool. */
function* sliceTools(
  estate: Estate,
  slicer: ReturnType<typeof createSlicer>,
): Generator<void, Map<string, ToolEntries>> {
  let number = 0;
  const entries = new Map<string, ToolEntries>();
  for (const tool of estate.tools.values()) {
    const choices = new Map<string, { named: ReadonlyMap<string, Entry>; anyone: Entry }>();
    for (const action of ['call', 'discover'] as const) {
      const entry = (slice: Slice): Entry => ({
        slice,
        action: uid('Action', action === 'discover' ? DISCOVER : tool.ref),
        resource: uid('Tool', tool.ref),
        fixed: fixedEntities(estate, tool, action, slice),
        number: number++,
        program: undefined,
        evaluated: 0,
        agents: new Map(),
        lifted: slice.lifted && entry(slice.lifted),
      });
      for (const kind of ['user', 'agent'] as const) {
        const { named, anyone } = slicer.slice(tool, action, kind);
        const byName = new Map([...named].map(([name, slice]) => [name, entry(slice)]));
        choices.set(`${action} ${kind}`, { named: byName, anyone: entry(anyone) });
      }
    }
    entries.set(tool.ref, { tool, choices, agreed: new WeakSet() });
    yield;
  }
  return entries;
}

function evaluate(parts: Parts, request: AccessRequest): PolicyAnswer {
  const { subject, action, resource } = request;
  const known = parts.tools.get(resource.tool);
  const choice = known?.choices.get(`${action} ${subject.kind}`);
  if (known === undefined || choice === undefined) {
    return refuse(
      `The policies do not know ${resource.tool}.`,
      'Ask its owner to describe it, then reload the policies.',
    );
  }
  if (!agrees(known, resource.profile)) {
    return refuse(`${resource.tool} has another profile than the policies were read with.`, 'Reload the policies.');
  }
  if (subject.kind === 'agent' && !parts.estate.agents.has(subject.id)) {
    return refuse(`The agent ${subject.id} is not registered.`, 'Register the agent, then reload the policies.');
  }
  const misfit = findMisfit(request, known.tool);
  if (misfit !== undefined)
    return refuse(`Policies cannot read this call: ${misfit}.`, 'Send the arguments as described.');

  const entry = choice.named.get(subject.id) ?? choice.anyone;
  const answer = evaluateEntry(parts, entry, request);
  return answer.verdict === 'permit' || entry.lifted === undefined
    ? answer
    : hold(parts, entry.lifted, request, answer);
}

/** What only liftable policies forbid is held where something permits it, and otherwise denied for want of a permit: nobody need be asked. */
function hold(parts: Parts, lifted: Entry, request: AccessRequest, denied: PolicyAnswer): PolicyAnswer {
  const held = holdOf(denied);
  if (held === undefined) return denied;
  const answer = evaluateEntry(parts, lifted, request);
  if (answer.verdict !== 'permit') return { ...answer, isJudged: false };
  return request.action === 'call' ? held : answer;
}

function evaluateEntry(parts: Parts, entry: Entry, request: AccessRequest): PolicyAnswer {
  if (entry.slice.slot === undefined) return denyByDefault(request);
  if (!parts.compiles) return answerByCedar(parts, entry, request);
  entry.program ??= compileEntry(parts, entry, request);
  const answer = entry.program === 'cedar' ? undefined : entry.program(request);
  if (answer === undefined) return answerByCedar(parts, entry, request);
  parts.counts.compiled += 1;
  // Whatever is wrong here, a policy that is evaluated often does not stay wrong for long, and one that is new is compared before it is relied on.
  return entry.evaluated++ % COMPARE_EVERY === 0 ? compareWithCedar(parts, entry, request, answer) : answer;
}

const COMPARE_EVERY = 1_024;

function compileEntry(
  { estate }: Parts,
  { slice, action, resource }: Entry,
  request: AccessRequest,
): Program | 'cedar' {
  const { kind } = request.subject;
  return compileSlice(slice.policies, { estate, kind, isCall: request.action === 'call', action, resource }) ?? 'cedar';
}

/** Where the two differ this call is denied, and Cedar decides alone from then on. */
function compareWithCedar(parts: Parts, entry: Entry, request: AccessRequest, answer: PolicyAnswer): PolicyAnswer {
  const whole = answerByCedar(parts, entry, request);
  if (whole.verdict === answer.verdict && whole.policies.join() === answer.policies.join()) return answer;
  parts.compiles = false;
  report(
    parts.log,
    `${request.resource.tool} was evaluated otherwise in process than by Cedar, which decides alone now`,
  );
  return refuse(
    'The policies were not evaluated alike twice.',
    'Try again; and report it to the operator of the gateway.',
  );
}

function answerByCedar(parts: Parts, entry: Entry, request: AccessRequest): PolicyAnswer {
  const { slice } = entry;
  const asker = findAsker(parts.estate, entry, request.subject);
  const context = buildContext(request, slice.references.context);
  const key = parts.cache && shortenKey(slice.looksAtContext ? JSON.stringify([asker.key, context]) : asker.key);
  const reused = key === undefined ? undefined : parts.cache?.get(key);
  if (reused !== undefined) {
    parts.counts.reused += 1;
    return reused;
  }

  parts.counts.asked += 1;
  const answer = ask(parts.cedar, {
    principal: asker.principal,
    action: entry.action,
    resource: entry.resource,
    context,
    entities: asker.entities,
    preparsedPolicySetId: slice.slot as string,
  });
  const result = readAnswer(parts, request, answer);
  if (key !== undefined && result.isClean) parts.cache?.put(key, result.answer);
  return result.answer;
}

function findAsker(estate: Estate, entry: Entry, subject: AccessRequest['subject']): Asker {
  const known = subject.kind === 'agent' ? entry.agents.get(subject.id) : undefined;
  if (known !== undefined) return known;
  const { slice, fixed, number } = entry;
  const groups = relevantGroups(subject, slice);
  const entity = principalEntity(estate, subject, groups, slice);
  const asker = {
    principal: uid(subject.kind === 'user' ? 'User' : 'Agent', subject.id),
    entities: entity === undefined ? fixed : [...fixed, entity],
    key: JSON.stringify([number, subject.id, groups]),
  };
  if (subject.kind === 'agent') entry.agents.set(subject.id, asker);
  return asker;
}

function ask(cedar: CedarRuntime, call: StatefulAuthorizationCall): AuthorizationAnswer {
  try {
    return cedar.statefulIsAuthorized(call);
  } catch (error) {
    if (isTrap(error)) trapped.add(cedar);
    throw error;
  }
}

/** Only an answer without any error counts: Cedar skips a `forbid` that errs, which would permit. */
function readAnswer(
  { policies }: Parts,
  request: AccessRequest,
  answer: AuthorizationAnswer,
): { answer: PolicyAnswer; isClean: boolean } {
  const nextStep = 'Report it to the owner of the policies.';
  if (answer.type !== 'success') {
    return { answer: refuse('The policies could not be evaluated on this request.', nextStep), isClean: false };
  }
  const { decision, diagnostics } = answer.response;
  if (diagnostics.errors.length > 0) {
    // Cedar's message would show argument values, which belong sealed in the record only.
    const ids = diagnostics.errors.map(({ policyId }) => policyId).sort();
    return { answer: refuse(`Policy ${ids.join(', ')} failed on this request.`, nextStep, ids), isClean: false };
  }
  const determining = diagnostics.reason
    .flatMap((id) => policies.get(id) ?? [])
    .sort((a, b) => a.order - b.order)
    .map(({ policy }) => policy);
  if (determining.length === 0) return { answer: denyByDefault(request), isClean: decision === 'deny' };
  return { answer: answerOf(determining, decision === 'allow' ? 'permit' : 'deny'), isClean: true };
}

/** Whether a request describes the tool as the policies knew it; the object itself usually is the same one. */
function agrees({ tool, agreed }: ToolEntries, profile: ToolProfile): boolean {
  if (profile === tool.profile || agreed.has(profile)) return true;
  const facts = ({ actionClass, dataClasses, criticalArguments, reversible, flow }: ToolProfile) =>
    JSON.stringify([
      actionClass,
      dataClasses,
      reversible,
      flow,
      criticalArguments.map(({ name, type, required }) => [name, type, required]),
    ]);
  if (facts(profile) !== facts(tool.profile)) return false;
  agreed.add(profile);
  return true;
}
