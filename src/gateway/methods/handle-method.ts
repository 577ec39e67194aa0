import { RPC } from '../../domain/era.ts';
import type { ClientRequest, MethodAnswer } from '../client-request.ts';
import type { Gateway } from '../gateway.ts';
import type { Caller } from '../stages/authenticate.ts';
import { identityOf } from '../stages/record-intent.ts';
import { callTool } from './call-tool.ts';
import { complete } from './complete.ts';
import { getPrompt } from './get-prompt.ts';
import { listPrompts, listTemplates, listTools } from './list-items.ts';
import { listResources } from './list-resources.ts';
import { cancelMcpTask, getMcpTask, listMcpTasks, mcpTaskResult, updateMcpTask } from './mcp-tasks.ts';
import { readResource, subscribeResource, unsubscribeResource } from './resources.ts';
import { setLogLevel } from './set-log-level.ts';

export type Handler = (
  gateway: Gateway,
  caller: Caller,
  request: ClientRequest,
) => MethodAnswer | Promise<MethodAnswer>;

/** Every method there is: what is not named here is not served. Both eras, unless one is named. */
const METHODS: ReadonlyMap<string, { readonly handle: Handler; readonly era?: ClientRequest['era'] }> = new Map([
  ['tools/call', { handle: callTool }],
  ['tools/list', { handle: listTools }],
  ['prompts/get', { handle: getPrompt }],
  ['prompts/list', { handle: listPrompts }],
  ['resources/read', { handle: readResource }],
  ['resources/list', { handle: listResources }],
  ['resources/templates/list', { handle: listTemplates }],
  // Modern clients subscribe by `subscriptions/listen`, which is decided on as this is.
  ['resources/subscribe', { handle: subscribeResource }],
  ['resources/unsubscribe', { handle: unsubscribeResource }],
  ['completion/complete', { handle: complete }],
  ['logging/setLevel', { handle: setLogLevel, era: 'legacy' }],
  ['tasks/get', { handle: getMcpTask }],
  ['tasks/cancel', { handle: cancelMcpTask }],
  ['tasks/update', { handle: updateMcpTask, era: 'modern' }],
  ['tasks/result', { handle: mcpTaskResult, era: 'legacy' }],
  ['tasks/list', { handle: listMcpTasks, era: 'legacy' }],
]);

/**
 * Serves one request of an authenticated caller, whatever its era: the one way in to everything that reaches a connector. A method that is not
 * in the table is denied and recorded (guarantee D1).
 * @throws when a stage fails: the edge answers that nothing was served
 */
export function handleMethod(
  gateway: Gateway,
  caller: Caller,
  request: ClientRequest,
): Promise<MethodAnswer> | MethodAnswer {
  const found = METHODS.get(request.method);
  if (found === undefined || (found.era !== undefined && found.era !== request.era)) {
    return refuseMethod(gateway, caller, request);
  }
  return found.handle(gateway, caller, request);
}

async function refuseMethod(gateway: Gateway, caller: Caller, request: ClientRequest): Promise<MethodAnswer> {
  const method = request.method.slice(0, 80);
  await gateway.recorder.record({
    type: 'decision',
    ...identityOf(caller),
    span: gateway.newSpan(),
    detail: { effect: 'method', verdict: 'deny', gate: 'profile', policies: ['remit:method'], method },
  });
  return { reply: { error: { code: RPC.methodNotFound, message: `Method not found: ${method}` } } };
}
