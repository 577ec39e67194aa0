import { decodeJwt, decodeProtectedHeader, errors, type JWTPayload, type JWTVerifyGetKey } from 'jose';
import { messageOf } from '../../domain/errors.ts';
import type { User } from '../../domain/principal.ts';
import type { Clock, Log } from '../../seams/clock.ts';
import { createRemoteKeySets, type Fetch } from './remote-key-sets.ts';
import { SIGNATURE_ALGORITHMS } from './signature-algorithms.ts';
import { verifyByKeys } from './verify-by-keys.ts';

/** An identity provider whose users may be acted for. */
export interface TrustedProvider {
  readonly issuer: string;
  /** `aud` that a user token must carry: this gateway, as the provider knows it. */
  readonly audience: string;
  readonly jwksUri?: string | undefined;
  readonly groupsClaim: string;
}

export type SubjectTokenRefusalCode =
  | 'malformed'
  | 'unknown_issuer'
  | 'wrong_audience'
  | 'expired'
  | 'bad_signature'
  | 'not_a_user'
  /** The provider could not be asked: fails closed. */
  | 'unavailable';

export interface SubjectTokenRefusal {
  readonly refused: SubjectTokenRefusalCode;
  readonly reason: string;
}

export interface VerifiedSubject {
  readonly user: User;
  /** `may_act.sub` (RFC 8693 section 4.4): who alone may act for this user, where the token says. */
  readonly mayAct: string | undefined;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

export interface SubjectTokenVerifierOptions {
  readonly providers: readonly TrustedProvider[];
  readonly fetch: Fetch;
  readonly clock: Clock;
  readonly log: Log;
  /** Clock skew granted to `exp` and `nbf`; default 5 seconds. */
  readonly skewSeconds?: number;
}

/** Token kinds that vouch for a signed-in user. Others (logout+jwt, secevent+jwt, dpop+jwt, …) may carry `sub` as well. */
const KINDS: ReadonlySet<string> = new Set(['jwt', 'at+jwt', 'application/at+jwt']);
const LONGEST_TOKEN = 16_384;
/** The groups travel in every task token, which is a header: beyond this a server would refuse the request. */
const LARGEST_GROUPS = 4_096;
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;

/** Verifies users' tokens from the configured identity providers. Never throws for a bad token or an absent provider. */
export function createSubjectTokenVerifier(options: SubjectTokenVerifierOptions): {
  verify(token: string): Promise<VerifiedSubject | SubjectTokenRefusal>;
} {
  const { clock, log, skewSeconds = 5 } = options;
  const providers = new Map(options.providers.map((provider) => [provider.issuer, provider]));
  const keySets = createRemoteKeySets(options);

  async function verify(token: string): Promise<VerifiedSubject | SubjectTokenRefusal> {
    const issuer = readIssuer(token);
    if (typeof issuer !== 'string') return issuer;
    const provider = providers.get(issuer);
    if (provider === undefined) {
      const known = [...providers.keys()].join(', ') || 'none';
      return refuse('unknown_issuer', `its issuer is not a configured identity provider; allowed: ${known}`);
    }
    let keys: JWTVerifyGetKey;
    try {
      keys = await keySets.keysOf(provider);
    } catch (error) {
      return unreachable(provider, error);
    }
    try {
      return toSubject(await check(token, keys, provider), provider);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) return refusalOf(error, provider);
    }
    // The provider may have rotated its keys since they were fetched.
    try {
      if (!(await keySets.refresh(provider))) return refusalOf(new errors.JWKSNoMatchingKey(), provider);
      keys = await keySets.keysOf(provider);
    } catch (error) {
      return unreachable(provider, error);
    }
    try {
      return toSubject(await check(token, keys, provider), provider);
    } catch (error) {
      return refusalOf(error, provider);
    }
  }

  async function check(token: string, keys: JWTVerifyGetKey, provider: TrustedProvider): Promise<JWTPayload> {
    const rules = {
      algorithms: SIGNATURE_ALGORITHMS,
      issuer: provider.issuer,
      audience: provider.audience,
      requiredClaims: ['exp', 'sub'],
      currentDate: new Date(clock()),
      clockTolerance: skewSeconds,
    };
    return await verifyByKeys(token, keys, rules);
  }

  function unreachable(provider: TrustedProvider, error: unknown): SubjectTokenRefusal {
    log.warn(
      { issuer: provider.issuer, error: messageOf(error) },
      'the keys of an identity provider cannot be fetched',
    );
    return refuse(
      'unavailable',
      `the identity provider ${provider.issuer} cannot be asked for its keys now; try again later`,
    );
  }

  return { verify };
}

function refuse(refused: SubjectTokenRefusalCode, reason: string): SubjectTokenRefusal {
  return { refused, reason };
}

/** Issuer that an unverified token names: chooses the keys, and is checked again with them. */
function readIssuer(token: string): string | SubjectTokenRefusal {
  if (token.length > LONGEST_TOKEN) return refuse('malformed', 'it is too long');
  try {
    const { typ } = decodeProtectedHeader(token);
    const { iss, events } = decodeJwt(token);
    if ((typ !== undefined && !KINDS.has(typ.toLowerCase())) || events !== undefined) {
      return refuse('malformed', 'it is not the access or id token of a user');
    }
    return typeof iss === 'string' ? iss : refuse('malformed', 'it names no issuer');
  } catch {
    return refuse('malformed', 'it is not a signed JWT');
  }
}

function toSubject(claims: JWTPayload, provider: TrustedProvider): VerifiedSubject | SubjectTokenRefusal {
  const { sub, exp, may_act: mayAct } = claims;
  if (typeof sub !== 'string' || sub === '' || sub.length > 255 || INVISIBLE.test(sub) || exp === undefined) {
    return refuse('malformed', 'its sub is missing, too long or holds control characters');
  }
  if (isMachine(claims)) {
    return refuse(
      'not_a_user',
      'it was issued to a machine, not to a person: a task without a user needs no subject token',
    );
  }
  if (claims.act !== undefined)
    return refuse('not_a_user', 'it is itself delegated (act): the token of the user is needed');
  if (mayAct !== undefined && !isActor(mayAct)) return refuse('malformed', 'its may_act claim names no subject');
  const groups = readGroups(claims[provider.groupsClaim]);
  if (groups === undefined) {
    return refuse(
      'malformed',
      `its ${provider.groupsClaim} claim is not a list of names of at most ${LARGEST_GROUPS} bytes: have the provider filter it`,
    );
  }
  return {
    user: { issuer: provider.issuer, subject: sub, groups },
    mayAct: isActor(mayAct) ? mayAct.sub : undefined,
    expiresAt: exp * 1000,
  };
}

/**
 * Signs of a token that a client got for itself: `sub` is the client (RFC 9068 section 2.2), or what large providers
 * mark it with. A service account must not pass for the human on whose behalf an agent acts.
 */
function isMachine(claims: JWTPayload): boolean {
  return (
    claims.sub === claims.client_id ||
    claims.sub === claims.azp ||
    claims.idtyp === 'app' ||
    claims.gty === 'client-credentials'
  );
}

function isActor(value: unknown): value is { sub: string } {
  return typeof value === 'object' && value !== null && typeof (value as { sub?: unknown }).sub === 'string';
}

/** Groups; undefined when the claim cannot be taken whole. A part of them is never used: a `forbid` could be lost. */
function readGroups(claim: unknown): readonly string[] | undefined {
  if (claim === undefined || claim === null) return [];
  const groups: unknown[] = Array.isArray(claim) ? claim : [claim];
  if (!groups.every((group) => typeof group === 'string' && group !== '' && !INVISIBLE.test(group))) return undefined;
  return Buffer.byteLength(JSON.stringify(groups)) > LARGEST_GROUPS ? undefined : [...new Set(groups as string[])];
}

function refusalOf(error: unknown, provider: TrustedProvider): SubjectTokenRefusal {
  if (error instanceof errors.JWTExpired) return refuse('expired', 'it has expired: the user must sign in again');
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.claim === 'aud') {
      return refuse('wrong_audience', `it is for another audience; it must be issued for '${provider.audience}'`);
    }
    if (error.claim === 'nbf') return refuse('expired', 'it is not valid yet');
    return refuse('malformed', `its claim ${error.claim} is missing or not accepted`);
  }
  if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWSSignatureVerificationFailed) {
    return refuse('bad_signature', `it is not signed by a key of ${provider.issuer}`);
  }
  if (error instanceof errors.JOSEAlgNotAllowed)
    return refuse('bad_signature', 'it is not signed with an asymmetric algorithm');
  return refuse('malformed', 'it cannot be verified');
}
