import { hash } from 'node:crypto';
import type { Approver } from '../../domain/approval.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { BrowserValues } from './browser-values.ts';

/** A browser in which an approver has signed in. */
export interface ApproverSession {
  readonly approver: Approver;
  /** What every form of this session carries, and no other page can know. */
  readonly csrf: string;
}

/** One-time codes and browser sessions, in the store: good at every node, and ended at every node. @throws `ERR_STORE_*` each of them */
export interface ApproverSessions {
  /** A code that signs `approver` in once, within ten minutes. */
  newCode(approver: Approver): Promise<string>;
  /** The approver of a code, which is used up by this. */
  takeCode(code: string): Promise<Approver | undefined>;
  /** @returns the value of the cookie */
  begin(approver: Approver): Promise<string>;
  find(cookie: string | undefined): Promise<ApproverSession | undefined>;
  end(cookie: string | undefined): Promise<void>;
}

const CODE_MS = 600_000;
/** Whoever decides for others signs in again after a while. */
const SESSION_MS = 3_600_000;

export function createApproverSessions(
  values: Pick<BrowserValues, 'keep' | 'find' | 'take' | 'forget'>,
): ApproverSessions {
  const jsonOf = (approver: Approver): JsonObject => ({ ...approver });
  // Sealed by whichever node of ours made it.
  const approverOf = (value: JsonObject): Approver => value as unknown as Approver;
  return {
    newCode: (approver) => values.keep('approver_code', jsonOf(approver), CODE_MS),
    async takeCode(code) {
      const value = await values.take('approver_code', code);
      return value && approverOf(value);
    },
    begin: (approver) => values.keep('approver_session', jsonOf(approver), SESSION_MS),
    async find(cookie) {
      const value = await values.find('approver_session', cookie);
      // Whoever knows it knows the cookie, or has read a page of the session.
      return value && { approver: approverOf(value), csrf: hash('sha256', `remit csrf ${cookie}`, 'base64url') };
    },
    async end(cookie) {
      if (cookie !== undefined) await values.forget('approver_session', cookie);
    },
  };
}
