import type { IncomingMessage, ServerResponse } from 'node:http';
import { respond } from './answers.ts';

/** Where connectors' authorization servers find the gateway, below its origin. */
export const CONNECTOR_OAUTH_PATHS = {
  callback: '/oauth/connector/callback',
  document: '/oauth/connector/client.json',
} as const;

/** What a browser is shown: one line, no secret. */
export interface BrowserAnswer {
  readonly status: 200 | 400 | 503;
  readonly text: string;
}

export interface ConnectorOauth {
  /** An authorization server sent an owner's browser back, with this query. */
  answer(query: URLSearchParams): Promise<BrowserAnswer>;
  /** Client id metadata document; undefined where nobody could fetch it. */
  document(): object | undefined;
}

/** The callback of connectors' authorizations, and the document that says who Remit is. */
export async function serveConnectorOauth(
  oauth: ConnectorOauth,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  request.resume();
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://gateway');
  if (request.method !== 'GET') return respond(response, 405, { error: 'method_not_allowed' });
  if (pathname === CONNECTOR_OAUTH_PATHS.document) {
    const document = oauth.document();
    return respond(response, document === undefined ? 404 : 200, document ?? { error: 'not_found' });
  }
  const { status, text } = await oauth.answer(searchParams);
  // Plain text, since parts of it are a stranger's words; and the address, which holds a code, goes nowhere.
  response.writeHead(status, {
    'Content-Type': 'text/plain; charset=utf-8',
    'Content-Length': Buffer.byteLength(text),
    'Cache-Control': 'no-store',
    'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
    'Referrer-Policy': 'no-referrer',
    'X-Content-Type-Options': 'nosniff',
  });
  response.end(text);
}
