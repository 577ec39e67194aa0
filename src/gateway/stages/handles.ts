import type { Decision } from '../../domain/decision.ts';
import { messageOf } from '../../domain/errors.ts';
import { isJsonObject, type JsonObject, mapTexts } from '../../domain/json.ts';
import { isRefused, type Refused } from '../../domain/refusal.ts';
import { HANDLE } from '../../flow/handles.ts';
import type { ErrorReply, LargeResult, SmallResult } from '../../seams/upstream.ts';
import type { Gateway } from '../gateway.ts';
import type { Operation } from '../operation.ts';
import type { Caller } from './authenticate.ts';
import { keptBack } from './redact-result.ts';

/** Bytes of a result that is read whole because something of it is hidden. */
const MAX_BYTES = 8_388_608;

/**
 * Puts what handles stand for into the arguments: that is what is decided on, and forwarded; the record and the approvers see the handles. What is no
 * handle of this task, and what would go where nothing says what becomes of it, is marked as refused. One comparison where nothing is hidden.
 */
export function takeHandles({ flow, log }: Gateway, { task }: Caller, operation: Operation): Operation {
  const { handles } = flow;
  if (!handles.isOn || !operation.argumentsText.includes(HANDLE)) return operation;
  const { item } = operation;
  const sink = item.profile?.flow?.sink;
  // Back to the agent is where it must not go: only what carries it on may have it.
  const isCarriedOn = item.kind === 'tool' && operation.effect === 'call' && sink !== undefined && sink !== 'none';
  const resolved = isCarriedOn ? handles.resolve(task.id, operation.args) : undefined;
  if (resolved === undefined) {
    log.debug({ tool: item.ref, task: task.id }, 'a handle was refused');
    return { ...operation, handles: 'refused' };
  }
  const { args } = resolved;
  const params = `"name":${JSON.stringify(item.name)},"arguments":${JSON.stringify(args)}`;
  return { ...operation, args, params, handles: resolved };
}

/** What is denied, and what a person is shown of a call with handles: whose results they are of, never what they stand for. */
export function judgeHandles({ handles }: Pick<Operation, 'handles'>, decision: Decision): Decision {
  if (handles === undefined) return decision;
  if (handles === 'refused') {
    return {
      verdict: 'deny',
      gate: 'flow',
      policies: ['remit:handle'],
      reason: 'The arguments hold a handle that is none of this task, or that this item may not have.',
      nextStep: 'Fetch the result again, and give the handle in it to a tool that sends or stores something.',
      policyVersion: decision.policyVersion,
    };
  }
  const { stepUp } = decision;
  if (decision.verdict !== 'step_up' || stepUp === undefined) return decision;
  const shown = handles.from.map(({ argument, tool }) => ({
    argument,
    from: `holds a handle of what ${tool} brought`,
    isTrusted: false,
  }));
  return { ...decision, stepUp: { ...stepUp, provenance: [...stepUp.provenance, ...shown] } };
}

/** Whether a result has to be there as a whole before any of it goes to the agent. */
export const mustBeWhole = ({ item, handles }: Operation): boolean =>
  item.profile?.flow?.handle !== undefined || handles !== undefined;

/** Reads a large result whole. One that is too large, or breaks off, is not passed on. */
export async function readWhole(
  { log }: Gateway,
  { item }: Operation,
  { resultChunks }: LargeResult,
): Promise<SmallResult | Refused> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of resultChunks) {
      size += chunk.length;
      if (size > MAX_BYTES) return TOO_LARGE;
      chunks.push(chunk);
    }
    const resultText = Buffer.concat(chunks).toString('utf8');
    const result: unknown = JSON.parse(resultText);
    if (isJsonObject(result)) return { result, resultText };
  } catch (error) {
    log.warn({ tool: item.ref, error: messageOf(error) }, 'a result of which something is hidden could not be read');
  }
  return UNREADABLE;
}

/** What the agent gets: handles in place of what the profile hides, and of what its own handles stood for, should the call bring that back. */
export function hideFrom(
  { flow }: Gateway,
  { task }: Caller,
  { item, handles }: Operation,
  reply: SmallResult | ErrorReply | Refused,
): SmallResult | ErrorReply | Refused {
  if (isRefused(reply)) return reply;
  const used = handles === undefined || handles === 'refused' ? [] : handles.texts;
  if ('error' in reply) return { error: hideAgain(reply.error, used) };
  const profile = item.profile?.flow;
  const hidden = profile?.handle === undefined ? reply.result : flow.handles.hide(task.id, item, profile, reply.result);
  const result = hideAgain(hidden, used) as JsonObject;
  return { result, resultText: JSON.stringify(result) };
}

/** Shorter texts stand everywhere. */
const LEAST_LENGTH = 8;

function hideAgain<T>(value: T, used: readonly (readonly [text: string, handle: string])[]): T {
  const long = used.filter(([text]) => text.length >= LEAST_LENGTH);
  if (long.length === 0) return value;
  const clean = (one: string): string =>
    long.reduce(
      (rest, [text, handle]) => rest.replaceAll(text, handle).replaceAll(JSON.stringify(text).slice(1, -1), handle),
      one,
    );
  return mapTexts(value, clean, clean) as T;
}

const TOO_LARGE = keptBack('the result is too large to hide what must be hidden of it', 'Ask for less at once.');
const UNREADABLE = keptBack(
  'the result could not be read whole, and something of it must be hidden',
  'Ask for less at once.',
);
