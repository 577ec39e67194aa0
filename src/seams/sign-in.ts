import type { Approver } from '../domain/approval.ts';

/** Signing people in at an identity provider of theirs. One implementation a protocol. */
export interface SignIn {
  /** Where to send the browser, and what it must bring back in a cookie. @throws when the provider cannot be reached */
  start(next: string): Promise<{ readonly url: string; readonly cookie: string }>;
  /** @throws when this is no good answer to `start` in the same browser; each answer is good once */
  finish(current: URL, cookie: string): Promise<{ readonly approver: Approver; readonly next: string }>;
}
