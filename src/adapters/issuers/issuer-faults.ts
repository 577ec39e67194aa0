import { isRemitError, RemitError } from '../../domain/errors.ts';

/** Waits for `promise` until the signal aborts; what comes later is handed to `discard`. */
export function orAbort<T>(promise: Promise<T>, signal: AbortSignal, discard: (late: T) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      promise.then(discard, () => {});
      reject(new Error('the deadline passed'));
    };
    if (signal.aborted) return abort();
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

/** What went wrong, in one line. Names of objects in it may be an agent's choice: cut, and without control characters. */
export function describeFault(error: unknown): string {
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
  const text = error instanceof Error && error.message !== '' ? error.message : (code ?? 'unknown error');
  const line = text.replace(/\p{Cc}+/gu, ' ').slice(0, 300);
  return code === undefined || line.includes(code) ? line : `${line} (${code})`;
}

/** What every issuer throws of an issue that failed: our own refusals with the place, anything else in one line. */
export function issueFault(
  error: unknown,
  signal: AbortSignal,
  more: { where: string; what: string; hint: string },
): RemitError {
  const { where, what, hint } = more;
  if (isRemitError(error, 'ERR_CREDENTIAL_ISSUE')) {
    return new RemitError(error.code, error.message, {
      where,
      ...(error.hint !== undefined && { hint: error.hint }),
      cause: error,
    });
  }
  if (isRemitError(error)) return error;
  const fault = signal.aborted ? 'not done before the issue deadline' : describeFault(error);
  return new RemitError('ERR_CREDENTIAL_ISSUE', `${what}: ${fault}`, { where, hint, cause: error });
}
