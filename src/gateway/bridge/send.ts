import { RPC } from '../../domain/era.ts';
import { messageOf } from '../../domain/errors.ts';
import type { ConnectorId, ToolRef } from '../../domain/ids.ts';
import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import type { ErrorReply, RpcError, SmallResult, Upstream, UpstreamCall, UpstreamReply } from '../../seams/upstream.ts';
import type { ClientRequest } from '../client-request.ts';
import type { Gateway } from '../gateway.ts';
import type { Caller } from '../stages/authenticate.ts';
import { askInRounds } from './ask-in-rounds.ts';
import { ROUND_METHODS, refuseRound } from './check-round.ts';
import { allowedFeatures, featuresOf, missingFeatures } from './client-features.ts';
import { editMembers } from './edit-members.ts';
import { handleEdits, sealMcpTask, unsealMcpTask } from './handles.ts';
import { sealRequestState } from './request-state.ts';
import { failed, toLegacy, toModern, withoutHopError } from './translate.ts';

/** What the bridge uses of the gateway. */
export type BridgeParts = Pick<
  Gateway,
  'sealer' | 'hub' | 'clientFeatures' | 'tasks' | 'clock' | 'schedule' | 'newSpan'
>;

/** Whom a call is sent for. */
export interface BridgedTo {
  readonly caller: Caller;
  readonly request: ClientRequest;
  readonly connector: ConnectorId;
  /** What the call was decided on: an McpTask that it makes is decided as this. */
  readonly item: ToolRef;
  /**
   * Decides on the questions of a modern upstream to a modern client, by their keys, and records them; gives them back cleaned, or an error
   * that ends the call. What the client cannot answer and what the owner does not allow is refused before.
   */
  readonly checkRound?: (inputRequests: JsonObject) => CheckedRound | Promise<CheckedRound>;
}

export type CheckedRound = { readonly inputRequests: JsonObject } | ErrorReply;

/** UrlElicitationRequired of 2025-11-25: a question in the guise of an error. */
const URL_ELICITATION_REQUIRED = -32042;

/**
 * Sends one call and gives its reply in the era of the client. Where the eras match, what came is passed as it came; what it costs then is a
 * look at `resultType`.
 * @throws as `Upstream.request`
 */
export async function sendBridged(
  gateway: BridgeParts,
  upstream: Upstream,
  call: UpstreamCall,
  to: BridgedTo,
): Promise<UpstreamReply> {
  const { request } = to;
  if (upstream.era !== request.era) return sendAcross(gateway, upstream, call, to);
  const reply = await upstream.request(call);
  if ('result' in reply) {
    const { result } = reply;
    const isPlain =
      request.era === 'modern'
        ? result.resultType === 'complete' && result.cacheScope !== 'public'
        : result.task === undefined;
    if (isPlain && !call.method.startsWith('tasks/')) return reply;
    return request.era === 'modern' ? passModern(gateway, reply, to) : passHandles(gateway, reply, to);
  }
  return 'error' in reply ? passError(gateway, reply, to) : reply;
}

async function sendAcross(
  gateway: BridgeParts,
  upstream: Upstream,
  call: UpstreamCall,
  to: BridgedTo,
): Promise<UpstreamReply> {
  // Their shapes and their rules differ in everything but the name.
  if (call.method.startsWith('tasks/')) {
    return failed('an MCP task goes on in the protocol era that it began in', RPC.notServed);
  }
  const reply =
    upstream.era === 'modern' ? await askInRounds(gateway, upstream, call, to) : await upstream.request(call);
  const checked = 'error' in reply ? await passError(gateway, reply, to) : reply;
  if (upstream.era === 'modern') return toLegacy(checked);
  if ('result' in checked && checked.result.content === undefined && isJsonObject(checked.result.task)) {
    return failed(`${to.connector} answered with an MCP task of another protocol era`);
  }
  return toModern(call.method, to.request.params.uri, checked);
}

async function passModern(gateway: BridgeParts, reply: SmallResult, to: BridgedTo): Promise<UpstreamReply> {
  switch (reply.result.resultType) {
    case 'input_required':
      return passRound(gateway, reply, to);
    case 'task':
      return passHandles(gateway, reply, to);
    case 'complete':
    case undefined: {
      const { result, resultText } = reply;
      const edits: Record<string, string> = {};
      if (result.resultType === undefined) edits.resultType = '"complete"';
      // What was decided for one principal is no other one's to read.
      if (result.cacheScope === 'public') edits.cacheScope = '"private"';
      const text = Object.keys(edits).length === 0 ? resultText : editMembers(resultText, edits);
      return to.request.method.startsWith('tasks/')
        ? passTaskState(gateway, { result, resultText: text }, to)
        : { result, resultText: text };
    }
    default:
      // Of a kind that we do not know we do not know what it does (2026-07-28: unrecognised is invalid).
      return failed(`${to.connector} replied with a result of an unknown kind`);
  }
}

/** `tasks/get`: the McpTask may wait for answers, which are asked for as in a round. */
async function passTaskState(gateway: BridgeParts, reply: SmallResult, to: BridgedTo): Promise<UpstreamReply> {
  if (reply.result.inputRequests === undefined) return passHandles(gateway, reply, to);
  const checked = await checkRound(gateway, reply.result.inputRequests, to);
  if ('error' in checked) return checked;
  const resultText = editMembers(reply.resultText, { inputRequests: JSON.stringify(checked.inputRequests) });
  return passHandles(gateway, { result: reply.result, resultText }, to);
}

async function passRound(gateway: BridgeParts, reply: SmallResult, to: BridgedTo): Promise<UpstreamReply> {
  const { inputRequests, requestState } = reply.result;
  const { connector, caller, request } = to;
  if (!ROUND_METHODS.has(request.method)) return failed(`${connector} asked for input where it may not`);
  const edits: Record<string, string> = {};
  if (inputRequests !== undefined) {
    const checked = await checkRound(gateway, inputRequests, to);
    if ('error' in checked) return checked;
    edits.inputRequests = JSON.stringify(checked.inputRequests);
  }
  if (requestState !== undefined) {
    if (typeof requestState !== 'string') return failed(`${connector} gave a state that is no text`);
    try {
      edits.requestState = JSON.stringify(sealRequestState(gateway.sealer, caller, connector, request, requestState));
    } catch (error) {
      return failed(`${connector} asked for input: ${messageOf(error)}`);
    }
  }
  if (inputRequests === undefined && requestState === undefined) return failed(`${connector} asked for nothing`);
  return { result: reply.result, resultText: editMembers(reply.resultText, edits) };
}

async function checkRound(gateway: BridgeParts, inputRequests: unknown, to: BridgedTo): Promise<CheckedRound> {
  if (!isJsonObject(inputRequests)) return failed(`${to.connector} asked what is no question`);
  const allowed = allowedFeatures(gateway.clientFeatures(to.connector));
  const refused = refuseRound(to.connector, inputRequests, featuresOf(to.request.capabilities), allowed);
  return refused ?? (await to.checkRound?.(inputRequests)) ?? { inputRequests };
}

async function passError(gateway: BridgeParts, reply: ErrorReply, to: BridgedTo): Promise<ErrorReply> {
  const { error } = reply;
  if (error.code === URL_ELICITATION_REQUIRED) return passUrlElicitations(gateway, error, to);
  if (
    error.code === RPC.missingCapability &&
    isJsonObject(error.data) &&
    isJsonObject(error.data.requiredCapabilities)
  ) {
    const required = featuresOf(error.data.requiredCapabilities);
    const isDeclared = required !== 0 && (required & ~featuresOf(to.request.capabilities)) === 0;
    if (isDeclared) return failed(`${to.connector} needs to ask the client for what its owner has not allowed`);
  }
  const translated = withoutHopError(error);
  return translated === error ? reply : { error: translated };
}

async function passUrlElicitations(gateway: BridgeParts, error: RpcError, to: BridgedTo): Promise<ErrorReply> {
  const elicitations =
    isJsonObject(error.data) && Array.isArray(error.data.elicitations) ? error.data.elicitations : [];
  const asked = elicitations.map(
    (params: unknown, at) => [String(at), { method: 'elicitation/create', params }] as const,
  );
  const needed = allowedFeatures(gateway.clientFeatures(to.connector)) & featuresOf(to.request.capabilities);
  if (missingFeatures(needed, 'elicitation/create', { mode: 'url' }) !== 0) {
    return failed(
      `${to.connector} sends people to a URL first, which its owner has not allowed or the client cannot do`,
    );
  }
  const checked = await checkRound(gateway, Object.fromEntries(asked), to);
  if ('error' in checked) return checked;
  const cleaned = Object.values(checked.inputRequests).map((one) => (one as JsonObject).params);
  return { error: { code: error.code, message: error.message, data: { elicitations: cleaned } } };
}

function passHandles(gateway: BridgeParts, reply: SmallResult, to: BridgedTo): SmallResult {
  const edits = handleEdits(reply.result, (taskId) => handleFor(gateway, to, taskId));
  return Object.keys(edits).length === 0
    ? reply
    : { result: reply.result, resultText: editMembers(reply.resultText, edits) };
}

/** The same McpTask keeps the handle that its client has: clients compare them. */
function handleFor(gateway: BridgeParts, { caller, request, connector, item }: BridgedTo, taskId: string): string {
  const { sealer, hub } = gateway;
  const given = request.params.taskId;
  const isTheirs = typeof given === 'string' && unsealMcpTask(sealer, caller, given)?.taskId === taskId;
  const known = isTheirs ? given : hub.handleOf(caller.task.id, connector, taskId);
  const handle = known ?? sealMcpTask(sealer, caller, { connector, item, taskId });
  if (gateway.tasks.get(caller.task.id) !== undefined) hub.knowMcpTask(caller.task.id, connector, taskId, handle);
  return handle;
}
