import type { Decision, Gate } from '../../domain/decision.ts';
import type { TaskId } from '../../domain/ids.ts';
import { type Principal, userKey } from '../../domain/principal.ts';
import { PROMPT_META, readGivenPrompt } from '../../domain/prompt.ts';
import type { AuditRecord } from '../../domain/record.ts';
import type { Task } from '../../domain/task.ts';
import type { GovernedTool } from '../../domain/tool.ts';
import type { ClientRequest } from '../client-request.ts';
import type { Gateway } from '../gateway.ts';
import type { Operation } from '../operation.ts';
import type { Caller } from './authenticate.ts';
import { noteDenied } from './risk.ts';
import { linkOf, tellDenial } from './tell.ts';

/** The identity fields that every record of a call carries (guarantee A2). */
export type Identity = Pick<AuditRecord, 'trace' | 'user' | 'agent' | 'actors' | 'workload'> & {
  readonly task: TaskId;
};

interface Known {
  readonly task: Task;
  readonly identity: Identity;
  /** Of the detail of each decision, as JSON text. */
  readonly purposeText: string;
}

const known = new WeakMap<Principal, Known>();

export const identityOf = (caller: Caller): Identity => knownOf(caller).identity;

/** Once for a principal, who is the same object for as long as its token is. */
function knownOf({ principal, task }: Caller): Known {
  const found = known.get(principal);
  if (found !== undefined && found.task.trace === task.trace && found.task.purpose === task.purpose) return found;
  const { user, agent, actors, workload } = principal;
  const identity = {
    trace: task.trace,
    ...(user && { user: userKey(user) }),
    agent,
    actors,
    workload,
    task: principal.task,
  };
  const purposeText = `"purpose":${JSON.stringify(task.purpose)},"token":${JSON.stringify(principal.tokenId)}`;
  const made = { task, identity, purposeText };
  known.set(principal, made);
  return made;
}

/** What a decision says of itself, as JSON text; the same decision, made again from memory, is the same object. */
const decisionTexts = new WeakMap<Decision, { readonly operation: Named; readonly text: string }>();

type Named = Pick<Operation, 'effect' | 'method'>;

function decisionText(decision: Decision, { effect, method }: Named): string {
  const found = decisionTexts.get(decision);
  if (found !== undefined && found.operation.effect === effect && found.operation.method === method) return found.text;
  const { verdict, gate, policies, reason, policyVersion, approval, risk, wouldDeny } = decision;
  const nextStep = verdict === 'permit' ? undefined : decision.nextStep;
  const said = { effect, method, verdict, gate, policies, reason, nextStep, policyVersion, approval, risk, wouldDeny };
  const text = JSON.stringify(said).slice(1, -1);
  decisionTexts.set(decision, { operation: { effect, method }, text });
  return text;
}

/**
 * Makes the decision durable, permit or deny alike, before anything follows from it (guarantee A1). The arguments are kept,
 * sealed; a commitment to them stands beside, so that an approval or an investigation can refer to them.
 */
export function recordIntent(
  gateway: Gateway,
  caller: Caller,
  operation: Operation,
  decision: Decision,
): Promise<unknown> {
  const { request, item, argumentsText } = operation;
  const flow = decision.flow === undefined ? '' : `,"flow":${JSON.stringify(decision.flow)}`;
  const { identity, purposeText } = knownOf(caller);
  const isRetry = request.params.requestState !== undefined || request.params.inputResponses !== undefined;
  return gateway.recorder.record({
    type: 'decision',
    ...identity,
    span: operation.span,
    connector: item.connector,
    tool: item.ref,
    detail: `{${decisionText(decision, operation)},${purposeText}${flow}${isRetry ? RESUMES : ''}${saidByClient(gateway, identity, request)}}`,
    input: argumentsText,
    permits: decision.verdict === 'permit' ? operation.effect : undefined,
    flow: decision.flow,
  });
}

/** What the client says in `_meta` of where the call comes from; for the record only. */
function saidByClient({ prompts }: Gateway, identity: Identity, request: ClientRequest): string {
  const meta = request.params._meta;
  let said = meta === undefined ? '' : clientCallOf(prompts, identity, meta as Meta);
  if (meta !== undefined || request.traceparent !== undefined) {
    const link = linkOf(request);
    // Checked: hex digits, which need no escapes.
    if (link !== undefined) said += `,"link":{"trace":"${link.trace}","span":"${link.span}"}`;
  }
  return prompts === undefined ? said : prompts.textOf(identity.task) + said;
}

type Meta = Readonly<Record<string, unknown>> | null;

function clientCallOf(prompts: Gateway['prompts'], identity: Identity, meta: Meta): string {
  const prompt = prompts === undefined ? undefined : meta?.[PROMPT_META];
  if (prompt !== undefined) {
    const given = readGivenPrompt(prompt);
    // Ahead of the decision that names it: the log keeps the order.
    if (given !== undefined) prompts?.noteLater(identity, given, FROM_REQUEST);
  }
  const id = meta?.['claudecode/toolUseId'];
  return typeof id === 'string' ? `,"clientCallId":${JSON.stringify(id.slice(0, 128))}` : '';
}

const FROM_REQUEST = { source: 'request' } as const;

const RESUMES = ',"resumes":"input_required"';

/** A denial for which there is no item, or none that may be told of: probing for names is worth as much on the record as a denied call. */
export function recordDenial(
  gateway: Gateway,
  caller: Caller,
  denied: {
    readonly span: string;
    readonly method: string;
    readonly rule: string;
    readonly gate?: Gate;
    readonly reason: string;
    readonly item?: GovernedTool | undefined;
  },
): Promise<unknown> {
  const { item, gate = 'profile' } = denied;
  tellDenial(gateway, caller, undefined, denied, { verdict: 'deny', gate });
  const told = noteDenied(gateway, caller, { gate, policies: [denied.rule] }, item);
  const recorded = gateway.recorder.record({
    type: 'decision',
    ...identityOf(caller),
    span: denied.span,
    ...(item && { connector: item.connector, tool: item.ref }),
    detail: {
      effect: 'call',
      method: denied.method.slice(0, 80),
      verdict: 'deny',
      gate,
      policies: [denied.rule],
      reason: denied.reason,
    },
  });
  return told === undefined ? recorded : Promise.all([recorded, told]);
}
