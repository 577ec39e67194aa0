import { Cancellation } from '../../../domain/cancellation.ts';
import type { Era } from '../../../domain/era.ts';
import type { ConnectorId } from '../../../domain/ids.ts';
import { isJsonObject, type JsonObject } from '../../../domain/json.ts';
import type { ClientAnswer } from '../../../seams/upstream.ts';
import type { ClientRequest, ClientSide, Question } from '../../client-request.ts';
import type { ClientMessage } from '../read-message.ts';
import type { Reply } from '../reply.ts';
import { unanswered } from './questions.ts';
import type { Session } from './session.ts';

const NO_CAPABILITIES: JsonObject = {};

/** A legacy request, and the way back to its client: one object, as every call makes one. */
export class LegacyRequest implements ClientRequest, ClientSide {
  readonly era: Era = 'legacy';
  readonly protocolVersion: string;
  readonly id: string | number;
  readonly method: string;
  readonly params: JsonObject;
  readonly scope: ConnectorId | undefined;
  readonly capabilities: JsonObject;
  readonly logLevel: string | undefined;
  readonly progressToken: string | number | undefined;
  readonly cancellation = new Cancellation();
  readonly client: ClientSide = this;
  readonly session: string | undefined;
  readonly traceparent: string | undefined;
  readonly #home: Session | undefined;
  readonly #reply: Reply;

  constructor(
    message: Extract<ClientMessage, { kind: 'request' }>,
    protocolVersion: string,
    scope: ConnectorId | undefined,
    session: Session | undefined,
    reply: Reply,
    traceparent?: string,
  ) {
    this.protocolVersion = protocolVersion;
    this.id = message.id;
    this.method = message.method;
    this.params = message.params;
    this.scope = scope;
    this.capabilities = session?.capabilities ?? NO_CAPABILITIES;
    this.logLevel = session?.logLevel;
    this.progressToken = progressTokenOf(message.params);
    this.session = session?.id;
    this.traceparent = traceparent;
    this.#home = session;
    this.#reply = reply;
  }

  canAnswer(method: Question['method']): boolean {
    return this.#reply.acceptsStream && this.#home?.canAnswer(method) === true;
  }

  /** Progress under the client's own token (fault 32), and log messages of the level that it set. */
  notify(method: string, params: JsonObject): void {
    const isOurs =
      method === 'notifications/progress'
        ? this.progressToken !== undefined && params.progressToken === this.progressToken
        : this.#home === undefined || this.#home.isWanted(method, params);
    if (isOurs) this.#reply.notify(method, params);
  }

  plainProgress(members: string): void {
    if (this.progressToken !== undefined) this.#reply.progress(this.progressToken, members);
  }

  ask(question: Question): Promise<ClientAnswer> {
    const home = this.#home;
    if (home === undefined || !this.canAnswer(question.method)) {
      return Promise.resolve(unanswered(`the client cannot be asked ${question.method}`));
    }
    return home.questions().ask(
      {
        send: (id) => this.#reply.request(id, question.method, question.params),
        withdraw: (requestId, reason) => this.#reply.notify('notifications/cancelled', { requestId, reason }),
      },
      this.cancellation,
      question.over,
    );
  }

  hearsProgress(): boolean {
    return this.progressToken !== undefined && this.#reply.acceptsStream;
  }
}

function progressTokenOf({ _meta }: JsonObject): string | number | undefined {
  if (!isJsonObject(_meta)) return undefined;
  const { progressToken } = _meta;
  return typeof progressToken === 'string' || typeof progressToken === 'number' ? progressToken : undefined;
}
