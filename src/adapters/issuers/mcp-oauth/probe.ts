import type { Fetch } from '../oauth-client.ts';
import { type BearerChallenge, readChallenge } from './challenge.ts';

const WITHIN_MS = 10_000;

/**
 * What a connector's server says to whoever shows no token; undefined where it says nothing. Lets any tool be listed at most, so that it has no
 * effect on a server that wants none.
 */
export async function probe(url: string, fetch: Fetch): Promise<BearerChallenge | undefined> {
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      'Content-Type': 'application/json',
      Accept: 'application/json, text/event-stream',
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list', params: {} }),
    signal: AbortSignal.timeout(WITHIN_MS),
  }).catch(() => undefined);
  const header = response?.status === 401 ? response.headers.get('www-authenticate') : null;
  return header === undefined || header === null ? undefined : readChallenge(header);
}
