import { type Dispatcher, request } from 'undici';
import type { TaskSession } from './task-session.ts';

export type GatewayResponse = Dispatcher.ResponseData;

export interface GatewayRequest {
  readonly verb: 'POST' | 'GET' | 'DELETE';
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal?: AbortSignal;
  /** Milliseconds; left out: as long as the gateway takes. */
  readonly timeoutMs?: number;
}

/** Sends one request with the task's token. @throws where the gateway cannot be reached */
export async function sendToGateway(session: TaskSession, wanted: GatewayRequest): Promise<GatewayResponse> {
  const response = await send(session, wanted, await session.token());
  if (response.statusCode !== 401) return response;
  // A 401 means that nothing was forwarded: asking again with a fresh token repeats no effect.
  await response.body.dump();
  return await send(session, wanted, await session.refresh());
}

function send(session: TaskSession, wanted: GatewayRequest, token: string): Promise<GatewayResponse> {
  const { verb, headers, body, signal, timeoutMs = 0 } = wanted;
  return request(session.mcpUrl, {
    method: verb,
    headers: {
      ...(body !== undefined && { 'content-type': 'application/json' }),
      accept: verb === 'GET' ? 'text/event-stream' : 'application/json, text/event-stream',
      ...headers,
      authorization: `Bearer ${token}`,
    },
    ...(body !== undefined && { body }),
    ...(signal !== undefined && { signal }),
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
  });
}

export function isEventStream(response: GatewayResponse): boolean {
  return String(response.headers['content-type'] ?? '').includes('text/event-stream');
}

export const textHeader = (response: GatewayResponse, name: string): string | undefined => {
  const value = response.headers[name];
  return typeof value === 'string' ? value : undefined;
};
