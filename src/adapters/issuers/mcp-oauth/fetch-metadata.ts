import { isRemitError } from '../../../domain/errors.ts';
import { isJsonObject, type JsonObject } from '../../../domain/json.ts';
import type { Fetch } from '../oauth-client.ts';
import { refused } from './refused.ts';

const WITHIN_MS = 10_000;

/**
 * A JSON document from a well-known place. Undefined where there is none there (4xx), so that the next place may be tried.
 * @throws `ERR_AUTHORIZATION_REFUSED` where the server cannot be reached, redirects, fails, or answers anything else
 */
export async function fetchMetadata(fetch: Fetch, address: string): Promise<JsonObject | undefined> {
  let response: Response;
  try {
    const init = {
      headers: { Accept: 'application/json' },
      redirect: 'manual',
      signal: AbortSignal.timeout(WITHIN_MS),
    };
    response = await fetch(address, init as RequestInit);
  } catch (error) {
    throw refused(
      `its metadata could not be fetched: ${reasonOf(error)}`,
      address,
      'See that the gateway reaches that server.',
    );
  }
  if (response.status >= 400 && response.status < 500) return undefined;
  if (response.status !== 200) {
    throw refused(`its metadata are answered with HTTP ${response.status}`, address, 'Redirects are not followed.');
  }
  const value: unknown = await response.json().catch(() => undefined);
  if (isJsonObject(value)) return value;
  throw refused('its metadata are not a JSON object', address, 'That server does not speak OAuth there.');
}

/** A guarded fetch hides its refusal as a cause. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  if (isRemitError(error)) return error.message;
  if (isRemitError(cause)) return cause.message;
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : undefined;
  return code ?? (error instanceof Error ? error.name : 'unknown error');
}
