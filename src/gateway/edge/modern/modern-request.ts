import { Cancellation } from '../../../domain/cancellation.ts';
import { type Era, MODERN_VERSION, RPC } from '../../../domain/era.ts';
import type { ConnectorId } from '../../../domain/ids.ts';
import { isJsonObject, type JsonObject } from '../../../domain/json.ts';
import type { ClientAnswer } from '../../../seams/upstream.ts';
import type { ClientRequest, ClientSide, Question } from '../../client-request.ts';
import type { Reply } from '../reply.ts';
import { type Envelope, isWanted } from './read-envelope.ts';

const CAPABILITY_FOR = {
  'elicitation/create': 'elicitation',
  'sampling/createMessage': 'sampling',
  'roots/list': 'roots',
} as const;

/** A modern request, and the way back to its client: one object, as every call makes one. */
export class ModernRequest implements ClientRequest, ClientSide {
  readonly era: Era = 'modern';
  readonly protocolVersion = MODERN_VERSION;
  readonly id: string | number;
  readonly method: string;
  readonly params: JsonObject;
  readonly scope: ConnectorId | undefined;
  readonly capabilities: JsonObject;
  readonly logLevel: string | undefined;
  readonly progressToken: string | number | undefined;
  readonly cancellation = new Cancellation();
  readonly client: ClientSide = this;
  readonly session = undefined;
  readonly traceparent: string | undefined;
  readonly #reply: Reply | undefined;

  /** @param reply undefined for what is decided on and answered within another request */
  constructor(
    id: string | number,
    method: string,
    params: JsonObject,
    scope: ConnectorId | undefined,
    envelope: Envelope,
    reply: Reply | undefined,
    traceparent?: string,
  ) {
    this.id = id;
    this.method = method;
    this.params = params;
    this.scope = scope;
    this.capabilities = envelope.capabilities;
    this.logLevel = envelope.logLevel;
    this.progressToken = envelope.progressToken;
    this.traceparent = traceparent;
    this.#reply = reply;
  }

  canAnswer(method: Question['method']): boolean {
    return isJsonObject(this.capabilities[CAPABILITY_FOR[method]]);
  }

  /** Progress under the client's own token, and log messages of the level that it asked for: nothing else belongs on this stream. */
  notify(method: string, params: JsonObject): void {
    const isOurs =
      method === 'notifications/progress'
        ? this.progressToken !== undefined && params.progressToken === this.progressToken
        : method === 'notifications/message' && this.logLevel !== undefined && isWanted(params.level, this.logLevel);
    if (isOurs) this.#reply?.notify(method, params);
  }

  plainProgress(members: string): void {
    if (this.progressToken !== undefined) this.#reply?.progress(this.progressToken, members);
  }

  hearsProgress(): boolean {
    return this.progressToken !== undefined && this.#reply?.acceptsStream === true;
  }

  /** A modern client is asked by the answer to its request (`bridge/rounds`), never on the stream. */
  async ask(question: Question): Promise<ClientAnswer> {
    return { error: { code: RPC.methodNotFound, message: `the client cannot be asked ${question.method} here` } };
  }
}
