import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { type Dispatcher, errors, Pool, util } from 'undici';
import type { Passed } from '../../domain/node.ts';
import { createPeerWatch, isAnswering, type PeerWatch, type WatchTimes } from './watch-peer.ts';

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
/** A node that is gone without a word is noticed within seven seconds: when the others have taken over what it had. */
const WATCH: WatchTimes = { lookMs: 1_000, answerMs: 3_000 };

interface Peer {
  readonly pool: Pool;
  readonly watch: PeerWatch;
}

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
 * @param times when a node that says nothing is taken to be lost
 */
export function createNodeLink(mark: string, host: string, misdirected: number, times: WatchTimes = WATCH): NodeLink {
  const peers = new Map<string, Peer>();

  function peerAt(address: string): Peer {
    const found = peers.get(address);
    if (found !== undefined) return found;
    // An answer may take long, and streams may be silent for long: the watch tells a node that is lost.
    const pool = new Pool(address, { connect: { timeout: CONNECT_MS }, headersTimeout: 0, bodyTimeout: 0 });
    const watch = createPeerWatch(
      times.lookMs,
      () => isAnswering(address, host, times.answerMs),
      () => {
        peers.delete(address);
        // With it go the connections that wait for nothing: what comes next must not be sent on one of them.
        pool.destroy(new Error('the node does not answer any more')).catch(() => {});
      },
    );
    const peer = { pool, watch };
    peers.set(address, peer);
    return peer;
  }

  return {
    passOn(request, response, { address, body, by }) {
      return new Promise((resolve) => {
        const { pool, watch } = peerAt(address);
        const passing = new Passing(response, misdirected, watch, resolve);
        pool.dispatch(
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
    async close() {
      await Promise.all([...peers.values()].map(({ pool }) => pool.destroy()));
    },
  };
}

/** One answer on its way through, as undici dispatches it: nothing is held but what the client has not taken yet. */
class Passing implements Dispatcher.DispatchHandler {
  readonly #response: ServerResponse;
  readonly #misdirected: number;
  readonly #watch: PeerWatch;
  readonly #settle: (passed: Passed) => void;
  #abort: ((error?: Error) => void) | undefined;
  #resume: () => void = () => {};
  #isSentBack = false;
  #isOver = false;

  constructor(response: ServerResponse, misdirected: number, watch: PeerWatch, settle: (passed: Passed) => void) {
    this.#response = response;
    this.#misdirected = misdirected;
    this.#watch = watch;
    this.#settle = settle;
    watch.begin();
    response.once('close', this.#onClose);
  }

  onConnect(abort: (error?: Error) => void): void {
    this.#abort = abort;
    if (this.#response.destroyed) abort();
  }

  onHeaders(status: number, rawHeaders: Buffer[], resume: () => void): boolean {
    this.#watch.heard();
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
    this.#watch.heard();
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
    this.#watch.end();
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
