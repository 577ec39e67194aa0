import { createLocalJWKSet, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';
import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import type { Clock } from '../../seams/clock.ts';

/** `fetch`, injected: the composition gives one that is guarded against internal addresses, by what is configured of the source. */
export type Fetch = (
  url: string,
  init: { headers: Record<string, string>; redirect: 'error'; signal: AbortSignal },
  source: KeySource,
) => Promise<Response>;

export interface KeySource {
  readonly issuer: string;
  /** Left out: found through the metadata of the issuer. */
  readonly jwksUri?: string | undefined;
}

export interface RemoteKeySets {
  /** Keys of an issuer, from the cache while fresh. Throws when they cannot be had. */
  keysOf(source: KeySource): Promise<JWTVerifyGetKey>;
  /** Asks again because a key is missing; at most once per cooldown. False when it is too soon. */
  refresh(source: KeySource): Promise<boolean>;
}

interface Cached {
  readonly keys: JWTVerifyGetKey;
  readonly fetchedAt: number;
}

const FRESH_MS = 600_000;
const COOLDOWN_MS = 30_000;
const TIMEOUT_MS = 5_000;
const LARGEST = 262_144;

/** Key sets of identity providers: one fetch at a time per issuer, bounded in time and size, no redirects followed. */
export function createRemoteKeySets(options: { fetch: Fetch; clock: Clock }): RemoteKeySets {
  const { clock } = options;
  const cache = new Map<string, Cached>();
  const running = new Map<string, Promise<Cached>>();

  function load(source: KeySource): Promise<Cached> {
    const { issuer } = source;
    const current = running.get(issuer);
    if (current !== undefined) return current;
    const loading = fetchKeys(source)
      .then((keys) => {
        const cached = { keys, fetchedAt: clock() };
        cache.set(issuer, cached);
        return cached;
      })
      .finally(() => running.delete(issuer));
    running.set(issuer, loading);
    return loading;
  }

  async function fetchKeys(source: KeySource): Promise<JWTVerifyGetKey> {
    const jwksUri = source.jwksUri ?? (await discover(source));
    const document = await fetchJson(jwksUri, source);
    if (!Array.isArray(document.keys)) throw new Error('the key set of the provider has no keys');
    return createLocalJWKSet(document as unknown as JSONWebKeySet);
  }

  /** OpenID Connect Discovery section 4, then RFC 8414 section 3; the named issuer must be the very one asked. */
  async function discover(source: KeySource): Promise<string> {
    const { issuer } = source;
    const { origin, pathname } = new URL(issuer);
    const path = pathname.replace(/\/$/, '');
    const places = [
      `${origin}${path}/.well-known/openid-configuration`,
      `${origin}/.well-known/oauth-authorization-server${path}`,
    ];
    let fault: unknown;
    for (const place of places) {
      try {
        const metadata = await fetchJson(place, source);
        if (metadata.issuer !== issuer) throw new Error('the metadata of the provider names another issuer');
        return checkKeysAddress(metadata.jwks_uri, origin);
      } catch (error) {
        fault = error;
      }
    }
    throw fault;
  }

  async function fetchJson(url: string, source: KeySource): Promise<JsonObject> {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const headers = { Accept: 'application/json' };
    const response = await options.fetch(url, { headers, redirect: 'error', signal }, source);
    if (response.status !== 200) {
      await response.body?.cancel();
      throw new Error(`${url} answered ${response.status}`);
    }
    const value: unknown = JSON.parse(await readBounded(response, url));
    if (!isJsonObject(value)) throw new Error(`${url} is not a JSON object`);
    return value;
  }

  return {
    async keysOf(source) {
      const cached = cache.get(source.issuer);
      // Stale keys are not used when the provider is away: it may have dropped one of them meanwhile.
      if (cached !== undefined && clock() - cached.fetchedAt < FRESH_MS) return cached.keys;
      return (await load(source)).keys;
    },
    async refresh(source) {
      const cached = cache.get(source.issuer);
      if (cached !== undefined && clock() - cached.fetchedAt < COOLDOWN_MS) return false;
      await load(source);
      return true;
    },
  };
}

function checkKeysAddress(uri: unknown, origin: string): string {
  if (typeof uri !== 'string' || !URL.canParse(uri)) throw new Error('the metadata of the provider names no jwks_uri');
  const { protocol } = new URL(uri);
  // A provider on https must not have its keys fetched in the clear.
  if (protocol !== 'https:' && (protocol !== 'http:' || origin.startsWith('https:'))) {
    throw new Error('the jwks_uri of the provider is not on https');
  }
  return uri;
}

async function readBounded(response: Response, url: string): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    size += chunk.byteLength;
    // Leaving the loop cancels the body.
    if (size > LARGEST) throw new Error(`${url} is larger than ${LARGEST} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
