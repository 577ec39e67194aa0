import type { Decision } from './decision.ts';

/**
 * An expected refusal of one request: a value, not an exception. The edge renders it: `unauthenticated` → HTTP 401, `malformed` → a JSON-RPC
 * error, `denied` and `unavailable` → of `tools/call` a result with `isError: true`, of any other method a JSON-RPC error.
 */
export type Refusal =
  | { readonly kind: 'unauthenticated'; readonly reason: string; readonly error: 'invalid_token' | 'missing_token' }
  | { readonly kind: 'malformed'; readonly reason: string; readonly rpcCode: number }
  | { readonly kind: 'denied'; readonly decision: Decision }
  | {
      readonly kind: 'unavailable';
      readonly reason: string;
      readonly nextStep: string;
      readonly code: string;
      /** Whether the request may have reached the connector: its effect is unknown then. */
      readonly isForwarded?: boolean;
    };

export type Refused = { readonly refusal: Refusal };

export function refuse(refusal: Refusal): Refused {
  return { refusal };
}

export function isRefused(value: object): value is Refused {
  return 'refusal' in value;
}
