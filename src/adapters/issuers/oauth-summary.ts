import { AuthorizationResponseError, ResponseBodyError } from 'openid-client';
import { RemitError } from '../../domain/errors.ts';

/** The library's errors carry whole responses, tokens included: of them only what the server said for people is kept. */
export function summary(error: unknown): Error {
  if (error instanceof RemitError) return error;
  if (error instanceof ResponseBodyError || error instanceof AuthorizationResponseError) {
    const text = error.error_description === undefined ? '' : ` (${error.error_description})`;
    const status = error instanceof ResponseBodyError ? `${error.status} ` : '';
    return new Error(`${status}${error.error}${text}`);
  }
  const cause = error instanceof Error && error.cause instanceof Error ? `: ${error.cause.message}` : '';
  return new Error(error instanceof Error ? `${error.message}${cause}` : 'unknown error');
}

/** A fault without what it was made of: the library's errors hold tokens. */
export function withoutCause({ code, message, where, hint }: RemitError): RemitError {
  return new RemitError(code, message, {
    ...(where !== undefined && { where }),
    ...(hint !== undefined && { hint }),
  });
}
