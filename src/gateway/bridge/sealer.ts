import type { JsonObject } from '../../domain/json.ts';
import type { Caller } from '../stages/authenticate.ts';

/** What a client carries for us. One kind is never taken for another. */
export type SealedKind = 'request_state' | 'cursor' | 'mcp_task' | 'parked';

/** Seals state that a client carries: unreadable, unchangeable, and of use to the principal and task that it was given to, alone (attack A17). */
export interface Sealer {
  /** Name of this node: part of what is sealed, so that another one can route or refuse. */
  readonly node: string;
  seal(kind: SealedKind, caller: Caller, value: JsonObject, ttlMs: number): string;
  /** Undefined for anything else than what `seal` gave to the same principal for the same task, still in time. */
  open(kind: SealedKind, caller: Caller, text: string): { readonly node: string; readonly value: JsonObject } | undefined;
}
