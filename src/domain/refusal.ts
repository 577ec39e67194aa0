import type { Decision } from './decision.ts';

/**
 * An expected refusal of one request: a value, not an exception. The edge renders it: `unauthenticated` → HTTP 401,
 * `malformed` → HTTP 400 + JSON-RPC error, `denied` and `unavailable` → a tool result with `isError: true`.
 */
export type Refusal =
  | { readonly kind: 'unauthenticated'; readonly reason: string; readonly error: 'invalid_token' | 'missing_token' }
  | { readonly kind: 'malformed'; readonly reason: string; readonly rpcCode: number }
  | { readonly kind: 'denied'; readonly decision: Decision }
  | { readonly kind: 'unavailable'; readonly reason: string; readonly nextStep: string; readonly code: string };

export type Refused = { readonly refusal: Refusal };

export function refuse(refusal: Refusal): Refused {
  return { refusal };
}

export function isRefused(value: object): value is Refused {
  return 'refusal' in value;
}
