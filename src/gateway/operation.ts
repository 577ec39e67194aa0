import type { Decision } from '../domain/decision.ts';
import type { JsonObject } from '../domain/json.ts';
import type { GovernedTool } from '../domain/tool.ts';
import type { Resolved } from '../flow/handles.ts';
import type { Upstream, UpstreamReply } from '../seams/upstream.ts';
import type { ClientRequest } from './client-request.ts';

/** One request of a client about one governed item, as the pipeline decides on it, records and forwards it. */
export interface Operation {
  readonly request: ClientRequest;
  /** As it is forwarded; the request's own, but for what one request of a client is made up of. */
  readonly method: string;
  readonly item: GovernedTool;
  /** `call` takes one call of the task's budget; `follow` is about what an earlier one began, and takes none. */
  readonly effect: 'call' | 'follow';
  /** What policies may read: of a tool or prompt its arguments, of a resource its `uri`. */
  readonly args: JsonObject;
  /** The same as JSON text: what the record seals. */
  readonly argumentsText: string;
  /** JSON text of the members of `params` as they go to the connector: what was decided on, and nothing else of the client's. */
  readonly params: string;
  /** Further members where the connector speaks the era of the client: a legacy call's `task`, a modern retry's answers. */
  readonly eraParams: string;
  /** Value of `Mcp-Name` for a modern connector. */
  readonly name: string;
  /** W3C span id: joins the records of the call. */
  readonly span: string;
  /** Done with the connection instead of sending the request; the reply is the client's as it is. */
  readonly act?: ((upstream: Upstream) => Promise<UpstreamReply>) | undefined;
  /** The hold that people lifted for this call. */
  readonly lifted?: Decision;
  /** What the handles in its arguments stand for, which `args` and `params` have in their place; `argumentsText` has the handles. */
  readonly handles?: Resolved | 'refused';
  /** The reply, where there is nothing to ask of the connector. */
  readonly reply?: UpstreamReply | undefined;
}
