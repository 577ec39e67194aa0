import { importPKCS8, SignJWT } from 'jose';
import { isJsonObject } from '../../domain/json.ts';
import { Secret } from '../../domain/secret.ts';
import { askJson, type Fetch, type JsonAnswer, ServiceRefusal, secondsOf, textOf } from './ask-json.ts';
import { serviceAddress } from './service-address.ts';

export interface GoogleAccount {
  /** JSON of a service account's key, as Google gives it; asked at every request. */
  readonly key: () => Promise<Secret>;
  /** Of OAuth; what the key says of it is not followed. */
  readonly tokenUrl: string;
  readonly fetch: Fetch;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
}

export interface GoogleToken {
  readonly token: Secret;
  readonly endsAt: number;
}

export const GOOGLE_TOKEN_URL = 'https://oauth2.googleapis.com/token';
export const CLOUD_PLATFORM = 'https://www.googleapis.com/auth/cloud-platform';
const ASSERTION_SECONDS = 300;

/** An access token of a service account (RFC 7523 section 2.1). Google gives it for an hour, whatever is asked. */
export async function googleToken(account: GoogleAccount, scope: string, signal: AbortSignal): Promise<GoogleToken> {
  const { tokenUrl, fetch, clock } = account;
  const url = serviceAddress(tokenUrl, 'tokenUrl');
  signal.throwIfAborted();
  const iat = Math.floor(clock() / 1000);
  const assertion = await signAs(await account.key(), { scope, aud: url, iat, exp: iat + ASSERTION_SECONDS });
  const form = { grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion };
  const answer = accepted(await askJson(fetch, url, formRequest(form, signal)));
  return {
    token: new Secret(textOf(answer, 'access_token')),
    endsAt: clock() + secondsOf(answer, 'expires_in') * 1000,
  };
}

async function signAs(key: Secret, claims: Record<string, unknown>): Promise<string> {
  const { email, id, pem } = readKey(key);
  try {
    const signer = new SignJWT({ iss: email, ...claims }).setProtectedHeader({ alg: 'RS256', typ: 'JWT', kid: id });
    return await signer.sign(await importPKCS8(pem, 'RS256'));
  } catch {
    throw new Error('the service account’s key has no private key for RS256 in it');
  }
}

/** @throws for anything else than a service account's key, without a word of it */
function readKey(key: Secret): { email: string; id: string; pem: string } {
  const value = parse(key.reveal());
  if (!isJsonObject(value) || value.type !== 'service_account') {
    throw new Error('the secret is no service account’s key: JSON with "type": "service_account"');
  }
  return {
    email: textOf(value, 'client_email'),
    id: textOf(value, 'private_key_id'),
    pem: textOf(value, 'private_key'),
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export function formRequest(form: Record<string, string>, signal: AbortSignal): RequestInit {
  const headers = { 'Content-Type': 'application/x-www-form-urlencoded', Accept: 'application/json' };
  return { method: 'POST', headers, body: new URLSearchParams(form).toString(), signal };
}

/** Both ways in which Google refuses: RFC 6749 section 5.2, and `error` as an object. @throws `ServiceRefusal` */
export function accepted({ status, body }: JsonAnswer): JsonAnswer['body'] {
  if (status >= 200 && status < 300) return body;
  const { error, error_description: description } = body;
  const [reason, text] = isJsonObject(error) ? [error.status, error.message] : [error, description];
  const shown = (value: unknown): string => (typeof value === 'string' ? value.slice(0, 300) : '');
  throw new ServiceRefusal(status, shown(reason), shown(text));
}
