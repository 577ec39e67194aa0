import { createPrivateKey } from 'node:crypto';
import { SignJWT } from 'jose';
import { RemitError } from '../../domain/errors.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { Secret } from '../../domain/secret.ts';
import type { Clock } from '../../seams/clock.ts';
import { askJson, type Fetch, ServiceRefusal } from '../clouds/ask-json.ts';
import { serviceAddress } from '../clouds/service-address.ts';
import type { GithubScope } from './github-scope.ts';

/** An app on GitHub or a GitHub Enterprise Server, and one of its installations. */
export interface GithubServer {
  /** Of its REST API: `https://api.github.com`, `https://github.example.com/api/v3`. */
  readonly api: string;
  /** The app's client id, or its number. */
  readonly appId: string;
  readonly installationId: number;
  /** The app's private key in PEM, as GitHub hands it out (PKCS#1), or in PKCS#8. Asked at each use. */
  readonly privateKey: () => Promise<Secret>;
  readonly fetch: Fetch;
  readonly clock: Clock;
}

export interface GithubClient {
  readonly api: string;
  /** @throws `ServiceRefusal`, `ERR_CREDENTIAL_ISSUE` (no key; to be left alone for a while), for no answer */
  createToken(scope: GithubScope, signal: AbortSignal): Promise<JsonObject>;
  /** What is gone already is as good. @throws `ServiceRefusal`, for no answer */
  revokeToken(token: string, signal: AbortSignal): Promise<void>;
}

/** GitHub refuses an `iat` of its future, and an `exp` more than ten minutes from now. */
const IAT_BACK_SECONDS = 60;
const JWT_SECONDS = 300;
const MOST_WAIT_MS = 3_600_000;
const HEADERS = {
  Accept: 'application/vnd.github+json',
  'Content-Type': 'application/json',
  'User-Agent': 'remit',
  'X-GitHub-Api-Version': '2022-11-28',
};

/** @throws `ERR_CONFIG_INVALID` for plain http to anywhere but this host */
export function createGithubClient({
  fetch,
  clock,
  appId,
  installationId,
  privateKey,
  ...server
}: GithubServer): GithubClient {
  const api = serviceAddress(server.api, 'credential.githubApp.api');
  /** Whoever asks on while it is limited is banned in the end. Of revokes nothing is held back. */
  let quietUntil = 0;

  async function signJwt(): Promise<string> {
    const now = Math.floor(clock() / 1000);
    const key = await importKey(await privateKey());
    return new SignJWT({ iss: appId })
      .setProtectedHeader({ alg: 'RS256', typ: 'JWT' })
      .setIssuedAt(now - IAT_BACK_SECONDS)
      .setExpirationTime(now + JWT_SECONDS)
      .sign(key);
  }

  async function send(method: string, path: string, bearer: string, signal: AbortSignal, body?: object) {
    let headers = new Headers();
    const noting: Fetch = async (address, init) => {
      const response = await fetch(address, init);
      headers = response.headers;
      return response;
    };
    const answer = await askJson(noting, `${api}${path}`, {
      method,
      headers: { ...HEADERS, Authorization: `Bearer ${bearer}` },
      signal,
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    return { ...answer, headers };
  }

  const refusal = (status: number, body: JsonObject): ServiceRefusal =>
    new ServiceRefusal(status, '', typeof body.message === 'string' ? body.message : '');

  return {
    api,
    async createToken(scope, signal) {
      const left = quietUntil - clock();
      if (left > 0) {
        throw new RemitError(
          'ERR_CREDENTIAL_ISSUE',
          `GitHub asked to be left alone for ${Math.ceil(left / 1000)} s more`,
          {
            hint: 'Its rate limit is used up. Longer leases, or one credential a task, ask it less often.',
          },
        );
      }
      const path = `/app/installations/${installationId}/access_tokens`;
      const { status, body, headers } = await send('POST', path, await signJwt(), signal, scope);
      if (status === 201) return body;
      quietUntil = Math.max(quietUntil, limitedUntil(status, headers, clock()));
      throw refusal(status, body);
    },
    async revokeToken(token, signal) {
      const { status, body } = await send('DELETE', '/installation/token', token, signal);
      // 401: not known, ended, or revoked before.
      if (status !== 204 && status !== 401) throw refusal(status, body);
    },
  };
}

async function importKey(pem: Secret) {
  const bytes = pem.revealBytes();
  try {
    const key = createPrivateKey({ key: Buffer.from(bytes), format: 'pem' });
    if (key.asymmetricKeyType === 'rsa') return key;
  } catch {
    // Said below, without a word of what it is.
  } finally {
    bytes.fill(0);
    pem.wipe();
  }
  throw new RemitError('ERR_CREDENTIAL_ISSUE', 'the app’s key is no RSA private key', {
    hint: 'Store it as GitHub hands it out, in PEM: `remit secret put NAME < app.private-key.pem`.',
  });
}

/** Of a 403 or 429 (REST API, rate limits): `retry-after` in seconds, else when the limit begins anew, in seconds since the epoch. */
function limitedUntil(status: number, headers: Headers, now: number): number {
  if (status !== 403 && status !== 429) return 0;
  const after = Number(headers.get('retry-after') ?? Number.NaN);
  const reset = headers.get('x-ratelimit-remaining') === '0' ? Number(headers.get('x-ratelimit-reset')) : Number.NaN;
  const until = Number.isFinite(after) ? now + after * 1000 : Number.isFinite(reset) ? reset * 1000 : 0;
  return Math.min(until, now + MOST_WAIT_MS);
}
