import type { Fetch } from '../oauth-client.ts';

export interface NotedFetch {
  readonly fetch: Fetch;
  /** No word came back of a request that may have arrived. */
  isUnanswered(): boolean;
  /**
   * Whether the server may have done what it was asked, though nobody here knows that it did: no answer, one of a proxy in between (502, 504),
   * or a good one that could not be read.
   */
  isUncertain(): boolean;
  /** One of the requests came to nothing of which anybody knows: it may have used something up. */
  lostOne(): boolean;
}

/** Of connecting: nothing of the request has left this host. */
const BEFORE_SENDING = new Set([
  'ECONNREFUSED',
  'EAI_AGAIN',
  'ENOTFOUND',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
]);

/** Keeps in mind how far the last request got. */
export function noteFetch(fetch: Fetch): NotedFetch {
  let wasLost = false;
  let state: 'not sent' | 'sent' | { readonly status: number } = 'not sent';
  const isUnanswered = (): boolean => state === 'sent';
  return {
    async fetch(address, init) {
      state = 'sent';
      try {
        const response = await fetch(address, init);
        state = { status: response.status };
        return response;
      } catch (error) {
        if (codesOf(error).some((code) => BEFORE_SENDING.has(code))) state = 'not sent';
        else wasLost = true;
        throw error;
      }
    },
    isUnanswered,
    lostOne: () => wasLost,
    isUncertain: () => isUnanswered() || (typeof state === 'object' && (state.status < 400 || state.status >= 500)),
  };
}

function codesOf(error: unknown): string[] {
  if (!(error instanceof Error)) return [];
  const own = 'code' in error && typeof error.code === 'string' ? [error.code] : [];
  return [...own, ...codesOf(error.cause)];
}
