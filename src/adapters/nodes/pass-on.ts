import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { Agent, errors } from 'undici';

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
  ): Promise<'answered' | 'not_sent' | 'unknown'>;
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
    async passOn(request, response, { address, body, by }) {
      const abort = new AbortController();
      const onClose = (): void => abort.abort();
      response.once('close', onClose);
      try {
        const answer = await agent.request({
          origin: address,
          path: request.url ?? '/',
          method: request.method as 'GET',
          headers: { ...endToEnd(request.headers), host, [mark]: by },
          body: body ?? null,
          signal: abort.signal,
        });
        if (answer.statusCode === misdirected) {
          await answer.body.dump();
          return 'not_sent';
        }
        response.writeHead(answer.statusCode, endToEnd(answer.headers, true));
        response.flushHeaders();
        // A stream that breaks off there breaks off here.
        await pipeline(answer.body, response).catch(() => response.destroy());
        return 'answered';
      } catch (error) {
        return isUnsent(error) ? 'not_sent' : 'unknown';
      } finally {
        response.off('close', onClose);
      }
    },
    close: () => agent.destroy(),
  };
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
