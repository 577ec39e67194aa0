import type { OpenUpstream, Upstream } from '../../seams/upstream.ts';
import { createHttpSetup, type HttpOpener, type HttpOpenerOptions } from './http-setup.ts';
import { createRedactor } from './redaction.ts';
import { SseConnection } from './sse-connection.ts';

/**
 * Opens sessions with a server over HTTP+SSE (2024-11-05): a stream that names where to post, and brings all that the server says.
 * @throws `ERR_CONFIG_INVALID` for a URL with credentials in it
 */
export function createSseOpener(options: Omit<HttpOpenerOptions, 'protocol'>): HttpOpener {
  const setup = createHttpSetup(options);

  async function open(request: OpenUpstream): Promise<Upstream> {
    const { injection, clientCapabilities, timeoutMs, cancellation } = request;
    const { clientInfo } = options;
    const introduction = { clientInfo, clientCapabilities, redact: createRedactor(injection).redact };
    const connection = new SseConnection(setup.connectionOptions(request), setup.url, introduction);
    return await setup.openWithin(request, connection, () => connection.open(timeoutMs, cancellation));
  }

  return { open, close: setup.close };
}
