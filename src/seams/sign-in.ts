import type { Approver } from '../domain/approval.ts';
import type { JsonObject } from '../domain/json.ts';

/** Signing people in at an identity provider of theirs. One implementation a protocol. */
export interface SignIn {
  /** Where to send the browser, and what it must bring back in a cookie. @throws when the provider cannot be reached */
  start(next: string): Promise<{ readonly url: string; readonly cookie: string }>;
  /** @throws when this is no good answer to `start` in the same browser; each answer is good once */
  finish(current: URL, cookie: string): Promise<{ readonly approver: Approver; readonly next: string }>;
}

/** What a browser carries from the node where it begins to the one where it ends: it can neither read nor change it. */
export interface CarriedValues {
  /** @param ms so long it is good */
  seal(value: JsonObject, ms: number): string;
  /** Undefined for anything else than what was sealed, in time. */
  open(text: string): JsonObject | undefined;
  /**
   * Whether this is the first who comes with it, at any node. To be asked when who it is is known, so that nobody else leaves anything behind.
   * @param ms how long it is good at most: so long it is remembered
   * @throws `ERR_STORE_*`
   */
  isFirst(text: string, ms: number): Promise<boolean>;
}
