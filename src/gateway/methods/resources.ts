import type { UpstreamReply } from '../../seams/upstream.ts';
import type { ClientRequest, MethodAnswer } from '../client-request.ts';
import type { Gateway } from '../gateway.ts';
import type { Operation } from '../operation.ts';
import { governCall } from '../pipeline.ts';
import type { Caller } from '../stages/authenticate.ts';
import { isUnresolved, refuseUnresolved, resolveUri } from '../stages/resolve.ts';
import { eraParamsOf } from './era-params.ts';
import { emptyAnswer, invalidParams } from './results.ts';

type Answering = MethodAnswer | Promise<MethodAnswer>;

/** `resources/read` */
export function readResource(gateway: Gateway, caller: Caller, request: ClientRequest): Answering {
  return govern(gateway, caller, request, () => ({}));
}

/**
 * `resources/subscribe`: the connection is told to watch this one too. Who hears of it is the session's or the stream's business, which takes
 * it up once this has succeeded.
 */
export function subscribeResource(gateway: Gateway, caller: Caller, request: ClientRequest): Answering {
  return govern(gateway, caller, request, ({ connector }, uri) => ({
    act: async (upstream) => {
      const { lists, resources } = gateway.hub.wanted(caller.task.id, connector);
      await upstream.watch({ lists, resources: resources.includes(uri) ? resources : [...resources, uri] });
      return emptyReply(request);
    },
  }));
}

/** `resources/unsubscribe`: the session no longer wants it, upon which the connections are told what is still wanted. */
export function unsubscribeResource(gateway: Gateway, caller: Caller, request: ClientRequest): Answering {
  return govern(gateway, caller, request, () => ({ effect: 'follow', reply: emptyReply(request) }));
}

const emptyReply = (request: ClientRequest): UpstreamReply => emptyAnswer(request).reply as UpstreamReply;

function govern(
  gateway: Gateway,
  caller: Caller,
  request: ClientRequest,
  more: (item: Operation['item'], uri: string) => Partial<Pick<Operation, 'act' | 'reply' | 'effect'>>,
): Answering {
  const { uri } = request.params;
  if (typeof uri !== 'string') return invalidParams('"uri" must be a string');
  const item = resolveUri(gateway, uri, request);
  if (isUnresolved(item)) return refuseUnresolved(gateway, caller, request.method, item);
  const eraParams = eraParamsOf(gateway, caller, item.connector, request);
  if (typeof eraParams !== 'string') return eraParams;
  const uriText = JSON.stringify(uri);
  return governCall(gateway, caller, {
    request,
    method: request.method,
    item,
    effect: 'call',
    args: { uri },
    argumentsText: `{"uri":${uriText}}`,
    params: `"uri":${uriText}`,
    eraParams,
    name: uri,
    span: gateway.newSpan(),
    ...more(item, uri),
  });
}
