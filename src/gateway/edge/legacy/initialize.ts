import { LEGACY_VERSIONS, RPC } from '../../../domain/era.ts';
import { isJsonObject, type JsonObject } from '../../../domain/json.ts';
import { refuseTaskOf } from '../../stages/authenticate.ts';
import type { Exchange } from '../exchange.ts';
import type { ClientMessage } from '../read-message.ts';
import { errorAnswer, type HttpAnswer, refusalAnswer, resultAnswer } from '../render.ts';
import type { LegacyParts } from './legacy-parts.ts';
import type { Session } from './session.ts';
import type { Sessions } from './sessions.ts';

/** A session holds what a client declares: what is larger is no declaration. */
const MOST_CAPABILITIES = 16_384;

/** Settles the revision, says what is offered, and makes the session. */
export async function initialize(
  { caller, scope }: Exchange,
  message: Extract<ClientMessage, { kind: 'request' }>,
  parts: LegacyParts,
  sessions: Sessions,
): Promise<{ readonly answer: HttpAnswer; readonly session?: Session }> {
  const { id, params } = message;
  const capabilities = readCapabilities(params);
  if (capabilities === undefined) {
    const problem = `"capabilities" must be an object of at most ${MOST_CAPABILITIES} characters`;
    return { answer: errorAnswer(400, id, RPC.invalidParams, problem) };
  }
  // A client that speaks none of ours learns what is spoken, and leaves if it must (MCP, version negotiation).
  const protocolVersion = LEGACY_VERSIONS.find((known) => known === params.protocolVersion) ?? LEGACY_VERSIONS[0];
  const { gateway, version, challenge } = parts;
  const offered = await parts.offer(gateway, caller, scope);
  if (gateway.tasks.get(caller.task.id) === undefined) {
    const { refusal } = refuseTaskOf(gateway, caller.task.id);
    return { answer: refusalAnswer({ era: 'legacy', id, method: 'initialize' }, refusal, challenge) };
  }
  const session = sessions.create({ principal: caller.principal, scope, protocolVersion, capabilities });
  if ('busy' in session) return { answer: errorAnswer(session.status, id, RPC.notServed, session.busy) };
  const result = JSON.stringify({
    protocolVersion,
    capabilities: offered.capabilities,
    serverInfo: { name: 'remit', title: 'Remit', version },
    ...(offered.instructions !== undefined && { instructions: offered.instructions }),
  });
  return { answer: { ...resultAnswer(id, result), headers: { 'Mcp-Session-Id': session.id } }, session };
}

/** A copy of its own: nothing of the request's body is held on to. */
function readCapabilities({ capabilities }: JsonObject): JsonObject | undefined {
  if (capabilities === undefined) return {};
  if (!isJsonObject(capabilities)) return undefined;
  const text = JSON.stringify(capabilities);
  return text.length > MOST_CAPABILITIES ? undefined : (JSON.parse(text) as JsonObject);
}
