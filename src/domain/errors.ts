/**
 * Faults: things that should not happen, or that a person must mend. Expected refusals of a call are values
 * (`Refusal`), not exceptions. The code is contract; the message is not. `hint` says what to do next.
 */

/** Closed union of codes, each with the exit code that the command line gives for it. */
export const ERROR_EXIT_CODES = {
  ERR_USAGE: 2,
  ERR_CONFIG_INVALID: 3,
  ERR_CONFIG_MISSING: 3,
  ERR_POLICY_INVALID: 4,
  ERR_VAULT_KEY_MISSING: 5,
  ERR_VAULT_KEY_WRONG: 5,
  ERR_VAULT_KEY_UNREACHABLE: 5,
  ERR_SECRET_MISSING: 5,
  ERR_SECRET_SHARED: 5,
  ERR_SECRET_IN_USE: 5,
  ERR_SECRET_ON_COMMAND_LINE: 5,
  ERR_STORE_UNREACHABLE: 6,
  ERR_STORE_LOCKED: 6,
  ERR_STORE_FULL: 6,
  ERR_STORE_SCHEMA: 6,
  ERR_STORE_SET_BACK: 6,
  ERR_JOURNAL_DAMAGED: 7,
  ERR_JOURNAL_FAILED: 7,
  ERR_JOURNAL_FULL: 7,
  ERR_PROOF_INVALID: 7,
  ERR_ARCHIVE: 7,
  ERR_ROWS: 7,
  ERR_CONNECTOR_UNREACHABLE: 8,
  ERR_CONNECTOR_PROTOCOL: 8,
  ERR_CONNECTOR_TIMEOUT: 8,
  ERR_CREDENTIAL_ISSUE: 9,
  ERR_CREDENTIAL_REVOKE: 9,
  ERR_STATIC_WITHOUT_EXCEPTION: 9,
  ERR_AUTHORIZATION_REFUSED: 9,
  ERR_AGENT_KEY: 10,
  ERR_AUDITOR_KEY: 10,
  ERR_TOKEN_REFUSED: 10,
  ERR_TASK_REFUSED: 11,
  ERR_APPROVAL_REFUSED: 11,
  ERR_NOT_FOUND: 12,
  ERR_ALREADY_RUNNING: 13,
  ERR_GATEWAY_UNREACHABLE: 14,
  ERR_INTERNAL: 70,
} as const;

export type ErrorCode = keyof typeof ERROR_EXIT_CODES;

/** Why a gateway that served can serve no more. */
export interface Failure {
  readonly why: string;
  readonly code: ErrorCode;
}

export class RemitError extends Error {
  readonly code: ErrorCode;
  /** What the reader should do next: one sentence. */
  readonly hint: string | undefined;
  /** Where: a file with line, a configuration path, an address. */
  readonly where: string | undefined;
  /** Of a call to a connector: not a byte of it was written, so that it certainly had no effect. */
  readonly isUnsent: boolean;

  constructor(
    code: ErrorCode,
    message: string,
    more: { hint?: string; where?: string; cause?: unknown; isUnsent?: boolean } = {},
  ) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.name = 'RemitError';
    this.code = code;
    this.hint = more.hint;
    this.where = more.where;
    this.isUnsent = more.isUnsent ?? false;
  }
}

export function isRemitError(error: unknown, code?: ErrorCode): error is RemitError {
  return error instanceof RemitError && (code === undefined || error.code === code);
}

/** Longer chains of causes are somebody's ring. */
const MOST_CAUSES = 20;

/**
 * For an error that is kept: until its stack is first read, V8 keeps what each function on it was called on, a connection with the
 * credential in its headers for example, for as long as the error lives (guarantee L6).
 */
export function settleStack(error: unknown): void {
  let at = error;
  for (let depth = 0; at instanceof Error && depth < MOST_CAUSES; depth++, at = at.cause) void at.stack;
}

/** The text of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
