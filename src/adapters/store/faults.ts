import { type ErrorCode, isRemitError, messageOf, RemitError } from '../../domain/errors.ts';

export type StoreFaultCode = Extract<ErrorCode, `ERR_STORE_${string}` | 'ERR_INTERNAL'>;

/** What a database error means for the caller. */
export interface Diagnosis {
  readonly code: StoreFaultCode;
  readonly hint: string;
}

/** Makes the one kind of error that leaves the store out of whatever a driver threw. */
export function toFault(error: unknown, where: string, diagnose: (error: unknown) => Diagnosis): RemitError {
  if (isRemitError(error)) return error;
  const { code, hint } = diagnose(error);
  const text = describe(error);
  return new RemitError(code, `the store failed: ${text}`, { where, hint, cause: withoutValues(error, text) });
}

/** The driver's own code: `SQLITE_BUSY`, `ECONNREFUSED`, an SQLSTATE; empty where it gave none. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

/** A refused connection to a name with several addresses is an `AggregateError` with an empty message. */
function describe(error: unknown): string {
  const text = error instanceof AggregateError ? error.errors.map(messageOf).join(', ') : messageOf(error);
  return text === '' ? codeOf(error) : text;
}

/** A driver's error can hold whole rows (PostgreSQL's `detail`): only its code and text go on. */
function withoutValues(error: unknown, text: string): Error {
  const cause = new Error(text);
  if (error instanceof Error && error.stack !== undefined) cause.stack = error.stack;
  return Object.assign(cause, { code: codeOf(error) });
}

export const CONFLICT: Diagnosis = {
  code: 'ERR_STORE_LOCKED',
  hint: 'Another writer was there first: read again and repeat.',
};

export const DEFECT: Diagnosis = {
  code: 'ERR_INTERNAL',
  hint: 'This is a defect of Remit: please report it with the code above.',
};
