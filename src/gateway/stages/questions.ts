import { RPC } from '../../domain/era.ts';
import type { ConnectorId, TaskId, ToolRef } from '../../domain/ids.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { Task } from '../../domain/task.ts';
import { withoutHiddenWithin } from '../../domain/visible-text.ts';
import type { ErrorReply, RpcError } from '../../seams/upstream.ts';
import { allowedFeatures, isQuestionMethod, missingFeatures } from '../bridge/client-features.ts';
import type { Question } from '../client-request.ts';
import type { Gateway } from '../gateway.ts';
import type { Caller } from './authenticate.ts';
import { identityOf } from './record-intent.ts';
import { type Needle, withholdWithin } from './withhold-secrets.ts';

/** A server that asks, and the call under way that it asks about. */
export interface Asking {
  readonly caller: Caller;
  readonly connector: ConnectorId;
  /** What the call was decided on; undefined outside calls. */
  readonly item: ToolRef | undefined;
  readonly needles: readonly Needle[];
  /** Whether the call would still be permitted; why not, otherwise. */
  readonly redecide: () => Promise<{
    readonly verdict: string;
    readonly policies: readonly string[];
    readonly reason: string;
  }>;
}

/** A question that may be put to the client. */
export interface AdmittedQuestion extends Question {
  /** Records what came of it. */
  readonly recordOutcome: (detail: JsonObject) => void;
}

const PERMITTED = 'remit:client-features';

/**
 * Decides whether a question of a server may reach the client: the connector's owner must have allowed that kind (attack A43), and it must be
 * one that a person can judge. Recorded before it is put, its content sealed. Gives it back without what people do not see.
 */
export async function admitQuestion(
  gateway: Gateway,
  asking: Asking,
  method: string,
  params: JsonObject,
): Promise<AdmittedQuestion | ErrorReply> {
  if (!isQuestionMethod(method)) return refused(RPC.methodNotFound, `${method.slice(0, 80)} is not served`);
  const { caller, connector, item, needles } = asking;
  const span = gateway.newSpan();
  const record = (detail: JsonObject, input?: string): Promise<unknown> =>
    gateway.recorder.record({
      type: 'decision',
      ...identityOf(caller),
      span,
      connector,
      ...(item && { tool: item }),
      detail: { effect: 'ask', method, purpose: caller.task.purpose, ...detail },
      ...(input !== undefined && { input }),
    });

  const missing = missingFeatures(allowedFeatures(gateway.clientFeatures(connector)), method, params);
  if (missing !== 0) {
    const reason = `the owner of ${connector} does not let its server ask clients by ${method}`;
    await record({ verdict: 'deny', gate: 'profile', policies: [PERMITTED], reason });
    return refused(RPC.methodNotFound, reason);
  }
  const readable = readableParams(method, params, needles);
  if ('problem' in readable) {
    await record({ verdict: 'deny', gate: 'arguments', policies: ['remit:question'], reason: readable.problem });
    return refused(RPC.invalidParams, readable.problem);
  }
  const text = JSON.stringify(readable.params);
  const reason = `the owner of ${connector} lets its server ask clients by ${method}`;
  await record({ verdict: 'permit', gate: 'profile', policies: [PERMITTED], reason }, text);

  let confirmed: Promise<boolean> | undefined;
  const confirm = async (): Promise<boolean> => {
    const { verdict, policies, reason: why } = await asking.redecide();
    await record({ verdict, gate: 'task', policies, reason: why, resumes: span });
    return verdict === 'permit';
  };
  return {
    connector,
    method,
    params: readable.params,
    // Asked for by whoever carries the answer on, and by the call itself: decided once.
    confirm: () => {
      confirmed ??= confirm();
      return confirmed;
    },
    recordOutcome: (detail) =>
      gateway.recordLater({
        type: 'outcome',
        ...identityOf(caller),
        span,
        connector,
        ...(item && { tool: item }),
        detail: { effect: 'ask', method, ...detail },
      }),
  };
}

/** The question as a person can read it. Nothing of the hop goes with it. */
function readableParams(
  method: Question['method'],
  params: JsonObject,
  needles: readonly Needle[],
): { readonly params: JsonObject } | { readonly problem: string } {
  const { _meta, task, ...own } = params;
  let clean: JsonObject;
  try {
    clean = withoutHiddenWithin(withholdWithin(own, needles)) as JsonObject;
  } catch {
    return { problem: 'the question is nested too deep' };
  }
  if (method !== 'elicitation/create' || params.mode !== 'url') return { params: clean };
  // As it came: an address that changes by being cleaned is none.
  const { url } = own;
  const host = typeof url === 'string' && url === clean.url ? safeHost(url) : undefined;
  if (host === undefined)
    return { problem: 'a URL to send a person to must be https, without a user or password in it' };
  const message = typeof clean.message === 'string' ? clean.message : '';
  return { params: { ...clean, message: `${message}\n\nIt leads to ${host}.` } };
}

/** Host of an address that a person may be sent to, as browsers resolve it; undefined for any other (attack A04). */
function safeHost(text: string): string | undefined {
  if (text.length > 2_048 || !URL.canParse(text)) return undefined;
  const url = new URL(text);
  return url.protocol === 'https:' && url.username === '' && url.password === '' ? url.host : undefined;
}

/**
 * For `HubOptions.question`: a question of a server outside any call. There is no item to decide on: the task must be under way, and the owner
 * must let the server ask.
 */
export function questionOutside(
  gateway: Gateway,
): (
  task: TaskId,
  connector: ConnectorId,
  method: Question['method'],
  params: JsonObject,
  needles: readonly Needle[],
) => Promise<Question | { readonly error: RpcError }> {
  return async (id, connector, method, params, needles) => {
    const task = gateway.tasks.get(id);
    if (task === undefined) return refused(RPC.invalidRequest, 'the task has ended');
    const asking: Asking = {
      caller: { principal: principalOf(task), task },
      connector,
      item: undefined,
      needles,
      redecide: async () =>
        gateway.tasks.get(id)?.state === 'active'
          ? { verdict: 'permit', policies: [PERMITTED], reason: 'the task is still under way' }
          : { verdict: 'deny', policies: ['remit:task-ended'], reason: 'the task has ended' },
    };
    return admitQuestion(gateway, asking, method, params);
  };
}

/** Whom a task was started by and for: no request of theirs is under way. */
function principalOf({ tenant, user, agent, id, expiresAt }: Task): Caller['principal'] {
  return { tenant, user, agent, actors: [], workload: 'none', task: id, tokenId: 'none', tokenExpiresAt: expiresAt };
}

const refused = (code: number, message: string): ErrorReply => ({ error: { code, message } });
