import type { Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Cancellation } from '../domain/cancellation.ts';
import { messageOf } from '../domain/errors.ts';
import { isJsonObject } from '../domain/json.ts';
import { type ClientMessage, readClientMessage } from './client-message.ts';
import { ClientOutput } from './client-output.ts';
import { type GatewayResponse, isEventStream, sendToGateway } from './gateway-link.ts';
import { LegacySession } from './legacy-session.ts';
import { ModernHeaders } from './modern-headers.ts';
import { OutsideStream } from './outside-stream.ts';
import { readBody } from './read-body.ts';
import { readEvents } from './read-events.ts';
import { readLines } from './read-lines.ts';
import type { TaskSession } from './task-session.ts';

/** How long replies are waited for after the client has closed its end. */
const GRACE_MS = 30_000;
const DELETE_TIMEOUT_MS = 2_000;
/** Characters of one message, either way; replies above `HELD` are passed on as they come. */
const LONGEST = 64 * 1024 * 1024;
const HELD = 1024 * 1024;
const MOST_UNDER_WAY = 256;
const MOST_RESUMES = 20;
const MOST_PAGES = 20;
/** What repeats no effect, and may be asked again in another session. */
const READS = /^(ping|completion\/complete|prompts\/get|resources\/read|.+\/list)$/;

const OWN_TIMEOUT_MS = 30_000;
const LEARN_TIMEOUT_MS = 10_000;

export interface BridgeOptions {
  readonly session: TaskSession;
  readonly input: Readable;
  readonly output: Writable;
  readonly onProblem: (message: string) => void;
  readonly graceMs?: number;
  /** Ends the bridge at once, without waiting for replies. */
  readonly cancellation?: Cancellation;
}

/**
 * A stdio MCP server of both eras that passes each message on to the gateway, over Streamable HTTP and with the task's token. Resolves when the
 * client closes its end and every open request has been answered (or `graceMs` has passed), and the session at the gateway is ended.
 */
export function bridgeStdio(options: BridgeOptions): Promise<void> {
  return new Bridge(options).run();
}

interface UnderWay {
  readonly message: ClientMessage;
  readonly controller: AbortController;
  readonly done: Promise<void>;
  isAnswered: boolean;
}

class Bridge {
  readonly #options: BridgeOptions;
  readonly #output: ClientOutput;
  readonly #session: LegacySession;
  readonly #modern = new ModernHeaders();
  readonly #outside: OutsideStream;
  readonly #underWay = new Set<UnderWay>();
  /** Of our own requests. */
  readonly #ending = new AbortController();

  constructor(options: BridgeOptions) {
    this.#options = options;
    this.#output = new ClientOutput(options.output, (error) =>
      options.onProblem(`the client is gone: ${messageOf(error)}`),
    );
    this.#session = new LegacySession({
      post: (line, headers) => this.#postOwn(line, headers),
      onReady: () => this.#outside.open(),
    });
    this.#outside = new OutsideStream({
      connect: (headers, signal) => sendToGateway(options.session, { verb: 'GET', headers, signal }),
      session: this.#session,
      onMessage: (data) => this.#output.write(data),
      longest: LONGEST,
    });
  }

  async run(): Promise<void> {
    const { input, cancellation, graceMs = GRACE_MS } = this.#options;
    const stop = (): void => void input.destroy();
    cancellation?.onCancel(stop);
    try {
      for await (const line of readLines(input, LONGEST)) await this.#take(line);
    } catch (error) {
      if (cancellation?.isCancelled !== true) this.#options.onProblem(`the client is gone: ${messageOf(error)}`);
    }
    cancellation?.offCancel(stop);
    this.#outside.close();
    // What lasts until the client no longer wants it ends with the client.
    for (const one of this.#underWay) if (one.message.method === 'subscriptions/listen') this.#abort(one);
    if (cancellation?.isCancelled !== true) await this.#finish(graceMs);
    for (const one of this.#underWay) this.#abort(one);
    this.#ending.abort();
    await this.#endSession();
  }

  async #finish(graceMs: number): Promise<void> {
    const late = new AbortController();
    const grace = sleep(graceMs, undefined, { signal: late.signal }).catch(() => {});
    const { cancellation } = this.#options;
    const onCancel = (): void => late.abort();
    cancellation?.onCancel(onCancel);
    await Promise.race([Promise.all([...this.#underWay].map((one) => one.done)), grace]);
    cancellation?.offCancel(onCancel);
    late.abort();
  }

  async #endSession(): Promise<void> {
    if (!this.#session.hasId) return;
    const { headers } = this.#session;
    // Best effort: the session ends with the task, or when it has been idle for a while.
    await sendToGateway(this.#options.session, {
      verb: 'DELETE',
      headers,
      signal: AbortSignal.timeout(DELETE_TIMEOUT_MS),
    })
      .then((response) => response.body.dump())
      .catch(() => {});
  }

  async #take(line: string | undefined): Promise<void> {
    if (line?.trim() === '') return;
    const message = line === undefined ? undefined : readClientMessage(line);
    if (message === undefined) {
      const text = line === undefined ? 'The message is too long' : 'Parse error';
      await this.#output.write(JSON.stringify({ jsonrpc: '2.0', id: null, error: { code: -32700, message: text } }));
      return;
    }
    if (message.method === 'notifications/cancelled' && this.#abortModern(message.params.requestId)) return;
    if (message.ids.length > 0 && this.#underWay.size >= MOST_UNDER_WAY) {
      await this.#fail(message, 'too many requests are under way');
      return;
    }
    const done = this.#relay(message);
    // What follows needs the session that these open.
    if (message.method === 'initialize' || message.method === 'notifications/initialized') await done;
  }

  #relay(message: ClientMessage): Promise<void> {
    const controller = new AbortController();
    let one!: UnderWay;
    const work = async (): Promise<void> => {
      try {
        await this.#post(one, false);
        if (!one.isAnswered && !controller.signal.aborted) await this.#fail(message, 'the gateway gave no reply', one);
      } catch (error) {
        if (controller.signal.aborted) return;
        this.#options.onProblem(messageOf(error));
        await this.#fail(message, messageOf(error), one);
      } finally {
        this.#underWay.delete(one);
      }
    };
    // Begun a moment later, so that it finds itself among those under way.
    one = { message, controller, done: Promise.resolve().then(work), isAnswered: message.ids.length === 0 };
    this.#underWay.add(one);
    return one.done;
  }

  async #post(one: UnderWay, isAgain: boolean): Promise<void> {
    const { message, controller } = one;
    const { line, method, modernVersion } = message;
    const isFirst = method === 'initialize';
    const number = this.#session.number;
    const hadId = this.#session.hasId && modernVersion === undefined && !isFirst;
    const headers =
      modernVersion !== undefined ? await this.#modernHeaders(message) : isFirst ? {} : this.#session.headers;
    const { session } = this.#options;
    const response = await sendToGateway(session, { verb: 'POST', headers, body: line, signal: controller.signal });
    if (response.statusCode !== 404 || !hadId || isAgain) {
      await this.#receive(one, response);
      return;
    }
    // Nothing was carried out: the session is unknown, mostly because the gateway was started again (fault 12).
    await response.body.dump();
    await this.#session.reopen(number);
    // Notifications have no effect beyond their session.
    if (message.kind === 'notification' || (message.kind === 'request' && READS.test(method ?? '')))
      await this.#post(one, true);
    else
      await this.#fail(message, 'the session had ended and was opened again; nothing was carried out, ask again', one);
  }

  async #receive(one: UnderWay, response: GatewayResponse): Promise<void> {
    const { message } = one;
    if (isEventStream(response)) {
      await this.#receiveStream(one, response);
      return;
    }
    const status = response.statusCode;
    const { text, rest } = await readBody(response.body, HELD);
    if (rest !== undefined && status === 200) {
      one.isAnswered = true; // either whole, or broken off and said to be so
      await this.#output.writePieces(rest).catch((error: unknown) => {
        one.isAnswered = false;
        throw error;
      });
      return;
    }
    if (text.trim() !== '') await this.#deliver(one, text, response);
    else if (!one.isAnswered) await this.#fail(message, `the gateway gave no reply (HTTP ${status})`, one);
    if (status < 300) this.#session.note(message);
  }

  /** Event streams that break are gone on with where the gateway lets us; the request itself is never sent again (SEP-1699). */
  async #receiveStream(one: UnderWay, first: GatewayResponse): Promise<void> {
    let response = first;
    let lastEventId: string | undefined;
    let retryMs = 1_000;
    for (let resumes = 0; ; resumes += 1) {
      try {
        for await (const event of readEvents(response.body, LONGEST)) {
          if (event.id !== undefined) lastEventId = event.id;
          retryMs = event.retry ?? retryMs;
          if (event.data !== '') await this.#deliver(one, event.data, first);
          if (one.isAnswered && one.message.kind !== 'batch') this.#session.note(one.message);
        }
      } catch (error) {
        if (one.isAnswered || lastEventId === undefined) throw error;
      }
      const { signal } = one.controller;
      if (one.isAnswered || lastEventId === undefined || resumes >= MOST_RESUMES) return;
      await sleep(Math.min(retryMs, 60_000), undefined, { signal });
      const headers = { ...this.#session.headers, 'last-event-id': lastEventId };
      response = await sendToGateway(this.#options.session, { verb: 'GET', headers, signal });
      if (response.statusCode === 200 && isEventStream(response)) continue;
      await response.body.dump();
      throw new Error(`the reply was lost (HTTP ${response.statusCode}); what was asked may have been carried out`);
    }
  }

  async #deliver(one: UnderWay, text: string, response: GatewayResponse): Promise<void> {
    const { message } = one;
    const reply = parseOrUndefined(text);
    if (!Array.isArray(reply) && !(isJsonObject(reply) && reply.jsonrpc === '2.0')) {
      // Refused before anything spoke JSON-RPC, for example by the gateway's header check or by a proxy on the way.
      const why = isJsonObject(reply) ? reply.error_description : undefined;
      throw new Error(`HTTP ${response.statusCode}: ${String(why ?? 'the answer is not JSON-RPC')}`);
    }
    if (isJsonObject(reply) && reply.method === undefined) {
      const error = isJsonObject(reply.error) ? String(reply.error.message) : undefined;
      if (message.kind === 'notification' || message.kind === 'response') {
        // Nothing may be answered to these.
        this.#options.onProblem(`the gateway refused a message: ${error ?? 'no reason'}`);
        return;
      }
      // Errors before the id was read carry `null`: the client can only match them by the id it sent.
      if (reply.id === null && message.ids.length > 0) {
        await this.#fail(message, error ?? 'refused', one, '');
        return;
      }
      if (message.ids.includes(reply.id) && message.kind === 'request') one.isAnswered = true;
      if (message.method === 'initialize') this.#session.begin(message.line, response, reply);
      if (message.method === 'tools/list' && message.modernVersion !== undefined) this.#modern.learn(reply.result);
    } else if (Array.isArray(reply)) one.isAnswered = true;
    await this.#output.write(text);
  }

  async #fail({ ids }: ClientMessage, why: string, one?: UnderWay, prefix = 'Remit: '): Promise<void> {
    if (one !== undefined) one.isAnswered = true;
    for (const id of ids) {
      const error = { code: -32000, message: `${prefix}${why}` };
      await this.#output.write(JSON.stringify({ jsonrpc: '2.0', id, error }));
    }
  }

  /** A modern request over HTTP is cancelled by ending its stream. @returns whether it was one */
  #abortModern(id: unknown): boolean {
    const found = [...this.#underWay].find(
      ({ message }) => message.modernVersion !== undefined && message.ids.includes(id),
    );
    if (found !== undefined) this.#abort(found);
    return found !== undefined;
  }

  #abort(one: UnderWay): void {
    one.isAnswered = true;
    one.controller.abort();
  }

  async #modernHeaders(message: ClientMessage): Promise<Record<string, string>> {
    // Without the schemas we cannot know which arguments need headers; a client may have them from an earlier session.
    if (message.method === 'tools/call' && !this.#modern.hasLearnt) await this.#learn(message).catch(() => {});
    return this.#modern.of(message);
  }

  async #learn({ params, modernVersion }: ClientMessage): Promise<void> {
    let cursor: unknown;
    for (let page = 0; page < MOST_PAGES; page += 1) {
      const own = { _meta: params._meta, ...(cursor !== undefined && { cursor }) };
      const line = JSON.stringify({ jsonrpc: '2.0', id: `remit-${page}`, method: 'tools/list', params: own });
      const headers = { 'mcp-protocol-version': modernVersion ?? '', 'mcp-method': 'tools/list' };
      const { reply } = await this.#postOwn(line, headers, LEARN_TIMEOUT_MS);
      const result = isJsonObject(reply) && isJsonObject(reply.result) ? reply.result : undefined;
      this.#modern.learn(result);
      cursor = result?.nextCursor;
      if (cursor === undefined) return;
    }
  }

  /** Sends a message of our own, whose reply the client does not see. */
  async #postOwn(line: string, headers: Record<string, string>, timeoutMs = OWN_TIMEOUT_MS) {
    const { session } = this.#options;
    const { signal } = this.#ending;
    const response = await sendToGateway(session, { verb: 'POST', headers, body: line, signal, timeoutMs });
    let reply: unknown;
    if (isEventStream(response)) {
      for await (const { data } of readEvents(response.body, LONGEST)) {
        if (data !== '') reply = JSON.parse(data) as unknown;
        if (isJsonObject(reply) && reply.method === undefined) break;
      }
    } else {
      const { text, rest } = await readBody(response.body, LONGEST);
      if (rest === undefined && text.trim() !== '') reply = JSON.parse(text) as unknown;
      if (rest !== undefined) response.body.destroy();
    }
    if (response.statusCode >= 300) throw new Error(`the gateway refused (HTTP ${response.statusCode})`);
    return { response, reply };
  }
}

function parseOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
