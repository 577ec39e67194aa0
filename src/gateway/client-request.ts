import type { Cancellation } from '../domain/cancellation.ts';
import type { Era } from '../domain/era.ts';
import type { ConnectorId } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';
import type { Refused } from '../domain/refusal.ts';
import type { ClientAnswer, UpstreamReply } from '../seams/upstream.ts';

/** A question of a server to the client, as the pipeline lets it through. */
export interface Question {
  readonly connector: ConnectorId;
  readonly method: 'elicitation/create' | 'sampling/createMessage' | 'roots/list';
  /** Cleaned of what a person could not see. */
  readonly params: JsonObject;
  /** Decides anew, and records it, before the call goes on with the client's answer: the task may have changed meanwhile (D5). */
  readonly confirm: () => Promise<boolean>;
  /** Cancelled when the answer is wanted no more; the question is taken back then. */
  readonly over?: Cancellation;
}

/** The way back to the client while its request is under way. One implementation an era. */
export interface ClientSide {
  /** Whether the client declared that it answers this kind of question. */
  canAnswer(method: Question['method']): boolean;
  /** A notification of the request; `params` are the client's own (its progress token). Dropped when the client does not want it. */
  notify(method: string, params: JsonObject): void;
  /** Progress under the client's token; `members` as in `ServerMessages`. Optional: `notify` otherwise. */
  plainProgress?(members: string): void;
  /** Whether progress reaches it while it waits. Left out: it does not. */
  hearsProgress?(): boolean;
  /** Never rejects: what goes wrong is an error answer. */
  ask(question: Question): Promise<ClientAnswer>;
}

/** One request as the edge understood it, whatever the era: what a method handler gets. */
export interface ClientRequest {
  readonly era: Era;
  readonly protocolVersion: string;
  readonly id: string | number;
  readonly method: string;
  readonly params: JsonObject;
  /** The connector whose own path was called; undefined: the endpoint of all. */
  readonly scope: ConnectorId | undefined;
  /** MCP `ClientCapabilities`: from the session's handshake, or from the modern envelope. */
  readonly capabilities: JsonObject;
  /** Least level of log messages that the client asked for. */
  readonly logLevel: string | undefined;
  readonly progressToken: string | number | undefined;
  readonly cancellation: Cancellation;
  /** `traceparent` of the POST, as it came; one in `_meta` goes before it. */
  readonly traceparent: string | undefined;
  readonly client: ClientSide;
  /** Id of the legacy session, if there is one; never an authority by itself (guarantee I1). */
  readonly session: string | undefined;
}

/** A reply in the era of the client, and the outcome still to be recorded once the reply is on its way. */
export interface MethodAnswer {
  readonly reply: UpstreamReply | Refused;
  readonly recordOutcome?: () => void;
}
