import * as crypto from 'node:crypto';
import { type CryptoKey, errors, type JWTPayload, jwtVerify } from 'jose';
import { agentId, taskId, tenantId } from '../../domain/ids.ts';
import { isJsonObject } from '../../domain/json.ts';
import type { Principal, User } from '../../domain/principal.ts';
import { type Refused, refuse } from '../../domain/refusal.ts';
import type { Authenticator } from '../../seams/authenticator.ts';
import type { Clock } from '../../seams/clock.ts';

export interface TaskTokenAuthenticatorOptions {
  /** `iss` of our own authorization server. */
  readonly issuer: string;
  /** This gateway's resource URL: the only `aud` that is accepted. */
  readonly audience: string;
  /** Public ES256 keys by `kid`; another map object whenever the set changed, and the cache is then dropped. */
  readonly keys: () => ReadonlyMap<string, CryptoKey>;
  readonly clock: Clock;
  /** Clock skew granted to `exp`, `nbf` and `iat`: 0 to 5 seconds, default 5. */
  readonly skewSeconds?: number;
  /** Most tokens kept as verified; default 10 000 (guarantee I3). */
  readonly cacheSize?: number;
}

const LONGEST_TOKEN = 12_288;
const BEARER = /^bearer +([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)$/i;

/**
 * Verifies task tokens (RFC 9068) against the gateway's own keys: ES256 only, `typ` at+jwt, so that neither an id token
 * nor a client assertion passes for one. A verified token is remembered by the SHA-256 of its header field; a refused one never.
 */
export function createTaskTokenAuthenticator(options: TaskTokenAuthenticatorOptions): Authenticator {
  const { issuer, audience, clock, cacheSize = 10_000, skewSeconds = 5 } = options;
  if (!(skewSeconds >= 0 && skewSeconds <= 5)) throw new RangeError('skewSeconds is 0 to 5');
  const skewMs = skewSeconds * 1000;
  const cache = new Map<string, Principal>();
  const digestOf = createDigests();
  let keys = options.keys();
  /** The field that was asked about last, where it was found: among several nodes each is asked about twice, where its task is and who calls. */
  let lastField: string | undefined;
  let last: Principal | undefined;

  function currentKeys(): ReadonlyMap<string, CryptoKey> {
    const next = options.keys();
    if (next !== keys) {
      keys = next;
      cache.clear();
      last = undefined;
    }
    return next;
  }

  function remember(digest: string, principal: Principal): void {
    const oldest = cache.keys().next();
    if (cache.size >= cacheSize && !oldest.done) cache.delete(oldest.value);
    cache.set(digest, principal);
  }

  async function verify(token: string, digest: string): Promise<Principal | Refused> {
    const set = currentKeys();
    try {
      const { payload } = await jwtVerify(
        token,
        ({ kid }) => {
          const key = set.get(kid ?? '');
          if (key === undefined) throw new errors.JWKSNoMatchingKey();
          return key;
        },
        {
          algorithms: ['ES256'],
          typ: 'at+jwt',
          issuer,
          audience,
          requiredClaims: ['exp', 'iat', 'jti', 'sub', 'client_id', 'task', 'tenant'],
          currentDate: new Date(clock()),
          clockTolerance: skewSeconds,
        },
      );
      const principal = toPrincipal(payload, audience, clock() + skewMs);
      if (typeof principal === 'string') return unauthenticated(principal);
      // The keys may have changed while this was verified: then it is not remembered.
      if (currentKeys() === set) remember(digest, principal);
      return principal;
    } catch (error) {
      return unauthenticated(reasonOf(error));
    }
  }

  return {
    authenticate(authorization) {
      if (authorization === undefined || authorization === '') {
        return refuse({ kind: 'unauthenticated', error: 'missing_token', reason: 'the request carries no token' });
      }
      if (authorization.length > LONGEST_TOKEN) return unauthenticated('the token is malformed: it is too long');
      currentKeys();
      if (last !== undefined && authorization === lastField && clock() < last.tokenExpiresAt + skewMs) return last;
      // Of the whole header field: what is found in the cache has been looked at before.
      const digest = digestOf(authorization);
      const known = cache.get(digest);
      if (known === undefined) {
        const token = BEARER.exec(authorization)?.[1];
        if (token === undefined) return unauthenticated('the token is malformed: not "Bearer" and one signed JWT');
        return verify(token, digest);
      }
      if (clock() < known.tokenExpiresAt + skewMs) {
        lastField = authorization;
        last = known;
        return known;
      }
      cache.delete(digest);
      return unauthenticated(EXPIRED);
    },
  };
}

const DIGESTS = 64;

/**
 * SHA-256 of header fields. Those of the few that came last are kept with them: connections that are open send theirs again and again.
 */
function createDigests(): (field: string) => string {
  const fields: string[] = new Array(DIGESTS).fill('');
  const digests: string[] = new Array(DIGESTS).fill('');
  return (field) => {
    const end = field.length;
    // The end of a signature: as good as random.
    const place = (field.charCodeAt(end - 2) * 31 + field.charCodeAt(end - 3)) % DIGESTS;
    if (end > 3 && fields[place] === field) return digests[place] as string;
    const digest = crypto.hash('sha256', field, 'binary');
    if (end > 3) {
      fields[place] = field;
      digests[place] = digest;
    }
    return digest;
  };
}

const EXPIRED = 'the token has expired: ask for a new one for the same task';

function unauthenticated(reason: string): Refused {
  return refuse({ kind: 'unauthenticated', error: 'invalid_token', reason });
}

/** A principal out of verified claims, or why they do not make one. */
function toPrincipal(claims: JWTPayload, audience: string, latestIssue: number): Principal | string {
  const { sub, jti, exp, iat, aud, client_id: client, task, tenant, act, user, client_jkt: thumbprint } = claims;
  // jose accepts a list of audiences that holds ours; a task token has exactly one.
  if (aud !== audience) return OTHER_AUDIENCE;
  if (typeof iat !== 'number' || iat * 1000 > latestIssue) return 'the token was issued in the future';
  if (!isText(sub) || !isText(jti) || !isText(client) || !isText(task) || !isText(tenant) || typeof exp !== 'number') {
    return MALFORMED_CLAIMS;
  }
  if (thumbprint !== undefined && !isText(thumbprint)) return MALFORMED_CLAIMS;
  let person: User | undefined;
  if (user === undefined && act === undefined) {
    if (sub !== client) return MALFORMED_CLAIMS;
  } else {
    if (!isJsonObject(act) || act.sub !== client || act.act !== undefined) return MALFORMED_CLAIMS;
    if (!isJsonObject(user) || !isText(user.iss) || !isTexts(user.groups)) return MALFORMED_CLAIMS;
    person = Object.freeze({ issuer: user.iss, subject: sub, groups: Object.freeze([...user.groups]) });
  }
  return Object.freeze({
    tenant: tenantId(tenant),
    user: person,
    agent: agentId(client),
    actors: Object.freeze([]),
    workload: thumbprint === undefined ? 'private_key_jwt' : `private_key_jwt:${thumbprint}`,
    task: taskId(task),
    tokenId: jti,
    tokenExpiresAt: exp * 1000,
  });
}

const MALFORMED_CLAIMS = 'the token is malformed: its claims are not those of a task token';
const OTHER_AUDIENCE = 'the token is for another audience than this gateway';

function reasonOf(error: unknown): string {
  if (error instanceof errors.JWTExpired) return EXPIRED;
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.claim === 'aud') return OTHER_AUDIENCE;
    if (error.claim === 'iss') return 'the token is from another issuer than this gateway';
    if (error.claim === 'typ') return 'the token is not an access token (typ at+jwt)';
    if (error.claim === 'nbf') return 'the token is not valid yet';
    return MALFORMED_CLAIMS;
  }
  if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWSSignatureVerificationFailed) {
    return 'the token is not signed by a key of this gateway';
  }
  if (error instanceof errors.JOSEAlgNotAllowed) return 'the token is not signed with ES256';
  return 'the token is malformed: not a signed JWT';
}

const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';
const isTexts = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((item) => typeof item === 'string');
