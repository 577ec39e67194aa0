import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { Agent, type Dispatcher, errors, util } from 'undici';
import type { Passed } from '../../domain/node.ts';

/** Of one connection, not of the message (RFC 9110 section 7.6.1). */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'expect',
  'content-length',
]);

/** Faults of connecting: nothing was sent. */
const NOT_SENT: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'UND_ERR_CONNECT_TIMEOUT',
]);

const CONNECT_MS = 1_000;

export interface NodeLink {
  passOn(
    request: IncomingMessage,
    response: ServerResponse,
    to: { readonly address: string; readonly body: string | undefined; readonly by: string },
  ): Promise<Passed>;
  close(): Promise<void>;
}

/**
 * Passes requests on to other nodes, streams included.
 * @param mark header that says so, and by whom
 * @param host under which every node may be addressed: which one the client named was checked by the node that it came to
 * @param misdirected status by which a node says that the request is not its own, and that nothing was done
 */
export function createNodeLink(mark: string, host: string, misdirected: number): NodeLink {
  // Streams of other nodes may be silent for long.
  const agent = new Agent({ connect: { timeout: CONNECT_MS }, headersTimeout: 0, bodyTimeout: 0 });
  return {
    passOn(request, response, { address, body, by }) {
      return new Promise((resolve) => {
        const passing = new Passing(response, misdirected, resolve);
        agent.dispatch(
          {
            origin: address,
            path: request.url ?? '/',
            method: request.method as 'GET',
            headers: { ...endToEnd(request.headers), host, [mark]: by },
            body: body ?? null,
          },
          passing,
        );
      });
    },
    close: () => agent.destroy(),
  };
}

/** One answer on its way through, as undici dispatches it: nothing is held but what the client has not taken yet. */
class Passing implements Dispatcher.DispatchHandler {
  readonly #response: ServerResponse;
  readonly #misdirected: number;
  readonly #settle: (passed: Passed) => void;
  #abort: ((error?: Error) => void) | undefined;
  #resume: () => void = () => {};
  #isSentBack = false;
  #isOver = false;

  constructor(response: ServerResponse, misdirected: number, settle: (passed: Passed) => void) {
    this.#response = response;
    this.#misdirected = misdirected;
    this.#settle = settle;
    response.once('close', this.#onClose);
  }

  onConnect(abort: (error?: Error) => void): void {
    this.#abort = abort;
    if (this.#response.destroyed) abort();
  }

  onHeaders(status: number, rawHeaders: Buffer[], resume: () => void): boolean {
    // An informational one is between the two nodes.
    if (status < 200) return true;
    this.#resume = resume;
    if (status === this.#misdirected) {
      this.#isSentBack = true;
      return true;
    }
    const headers = endToEnd(util.parseHeaders(rawHeaders), true);
    this.#response.writeHead(status, headers);
    if (headers['content-length'] === undefined) this.#response.flushHeaders();
    return true;
  }

  onData(chunk: Buffer): boolean {
    if (this.#isSentBack || this.#response.write(chunk)) return true;
    this.#response.once('drain', this.#resume);
    return false;
  }

  onComplete(): void {
    if (!this.#isSentBack) this.#response.end();
    this.#end(this.#isSentBack ? 'not_sent' : 'answered');
  }

  onError(error: Error): void {
    const hasBegun = this.#response.headersSent;
    // What breaks off there breaks off here.
    if (hasBegun) this.#response.destroy();
    this.#end(hasBegun ? 'answered' : isUnsent(error) ? 'not_sent' : 'unknown');
  }

  /** The client has gone: nobody wants the rest. */
  readonly #onClose = (): void => {
    if (!this.#isOver) this.#abort?.();
  };

  #end(passed: Passed): void {
    this.#isOver = true;
    this.#response.off('close', this.#onClose);
    this.#settle(passed);
  }
}

function endToEnd(headers: OutgoingHttpHeaders, keepsLength = false): Record<string, string | string[]> {
  const kept: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined) continue;
    if (!HOP_BY_HOP.has(name) || (keepsLength && name === 'content-length')) {
      kept[name] = Array.isArray(value) ? value : String(value);
    }
  }
  return kept;
}

function isUnsent(error: unknown): boolean {
  const { code } = (error ?? {}) as { readonly code?: unknown };
  return error instanceof errors.ConnectTimeoutError || NOT_SENT.has(String(code));
}
