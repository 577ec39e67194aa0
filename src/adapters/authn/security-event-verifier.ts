import { createHash, timingSafeEqual } from 'node:crypto';
import { decodeJwt, decodeProtectedHeader, errors, type JWTPayload } from 'jose';
import { messageOf } from '../../domain/errors.ts';
import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import type { Secret } from '../../domain/secret.ts';
import type { Clock, Log } from '../../seams/clock.ts';
import type {
  SecurityEvent,
  SecurityEventError,
  SecurityEventRefusal,
  SecurityEventVerifier,
} from '../../seams/security-events.ts';
import { createRemoteKeySets, type Fetch } from './remote-key-sets.ts';
import { SIGNATURE_ALGORITHMS } from './signature-algorithms.ts';
import { verifyByKeys } from './verify-by-keys.ts';

/** Another system that tells us what it has seen. */
export interface Transmitter {
  readonly name: string;
  readonly issuer: string;
  /** `aud` of its tokens: this gateway, as the transmitter knows it. */
  readonly audience: string;
  readonly jwksUri?: string | undefined;
  /** What its `Authorization` header has to be, whole; undefined: its signature alone proves it. */
  readonly authorization?: Secret | undefined;
}

/** RFC 8417 section 2.3: explicit typing, so that no other token of the same issuer is taken for an event. */
const TYPES: ReadonlySet<string> = new Set(['secevent+jwt', 'application/secevent+jwt']);
const SKEW_MS = 60_000;
/** An older one is not news; how long `jti`s have to be remembered follows from it. */
export const MAX_AGE_MS = 24 * 3_600_000;
const MOST_EVENTS = 16;
const LONGEST_JTI = 256;

export function createSecurityEventVerifier(options: {
  readonly transmitters: readonly Transmitter[];
  readonly fetch: Fetch;
  readonly clock: Clock;
  readonly log: Log;
}): SecurityEventVerifier {
  const { clock, log } = options;
  const transmitters = new Map(options.transmitters.map((one) => [one.issuer, one]));
  const keySets = createRemoteKeySets(options);

  async function payloadOf(token: string, transmitter: Transmitter): Promise<JWTPayload | SecurityEventRefusal> {
    const { issuer, audience } = transmitter;
    const rules = { algorithms: SIGNATURE_ALGORITHMS, issuer, audience, currentDate: new Date(clock()) };
    for (let attempt = 0; ; attempt += 1) {
      try {
        const keys = await keySets.keysOf(transmitter);
        return await verifyByKeys(token, keys, rules);
      } catch (error) {
        // It may have rotated its keys since they were fetched.
        const isOld = error instanceof errors.JWKSNoMatchingKey && attempt === 0;
        if (isOld && (await keySets.refresh(transmitter).catch(() => false))) continue;
        return refusalOf(error, transmitter, log);
      }
    }
  }

  return {
    async verify(token, authorization) {
      const claimed = readIssuer(token);
      if (claimed === undefined) return refuse('invalid_request', 'the body is no security event token');
      const transmitter = transmitters.get(claimed);
      if (transmitter === undefined) return refuse('invalid_issuer', 'its issuer is no configured transmitter');
      if (!isShown(transmitter.authorization, authorization)) {
        return refuse('authentication_failed', 'the Authorization header is not the one that was agreed on');
      }
      const payload = await payloadOf(token, transmitter);
      return 'err' in payload ? (payload as unknown as SecurityEventRefusal) : toEvent(payload, transmitter, clock());
    },
  };
}

function toEvent(
  payload: JWTPayload,
  { name, issuer }: Transmitter,
  now: number,
): SecurityEvent | SecurityEventRefusal {
  const { jti, iat, events, sub_id: subject } = payload;
  if (typeof jti !== 'string' || jti === '' || jti.length > LONGEST_JTI) {
    return refuse('invalid_request', 'it has no jti, or too long a one');
  }
  // RFC 8417 section 2.2: required. A number that is none compares as not new enough.
  const issuedAt = Number(iat) * 1_000;
  if (typeof iat !== 'number' || !(issuedAt <= now + SKEW_MS) || !(issuedAt >= now - MAX_AGE_MS)) {
    return refuse('invalid_request', 'its iat is missing, in the future, or more than a day ago');
  }
  if (!isJsonObject(events) || Object.keys(events).length === 0 || Object.keys(events).length > MOST_EVENTS) {
    return refuse('invalid_request', `events is no object of 1 to ${MOST_EVENTS} events`);
  }
  const entries = Object.entries(events);
  if (!entries.every(([, event]) => isJsonObject(event))) return refuse('invalid_request', 'an event is no object');
  return {
    transmitter: name,
    issuer,
    jti,
    issuedAt,
    subject: isJsonObject(subject) ? subject : undefined,
    events: Object.fromEntries(entries) as Record<string, JsonObject>,
  };
}

/** The issuer that a token claims, for whose keys are asked; undefined for what is no token of this type. */
function readIssuer(token: string): string | undefined {
  try {
    const { typ } = decodeProtectedHeader(token);
    const { iss } = decodeJwt(token);
    return typeof typ === 'string' && TYPES.has(typ.toLowerCase()) && typeof iss === 'string' ? iss : undefined;
  } catch {
    return undefined;
  }
}

/** Compared by digests: neither length nor content shows in the time that it takes. */
function isShown(wanted: Secret | undefined, given: string | undefined): boolean {
  if (wanted === undefined) return true;
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(wanted.reveal()), digest(given ?? ''));
}

function refusalOf(error: unknown, { name }: Transmitter, log: Log): SecurityEventRefusal {
  if (error instanceof errors.JWTClaimValidationFailed && error.claim === 'aud') {
    return refuse('invalid_audience', 'it is for another audience');
  }
  if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWSSignatureVerificationFailed) {
    return refuse('invalid_key', 'its signature does not verify with a key of its issuer');
  }
  if (error instanceof errors.JOSEError) return refuse('invalid_request', 'it does not verify');
  log.warn({ transmitter: name, error: messageOf(error) }, 'the keys of a transmitter of events cannot be fetched');
  return refuse('invalid_key', 'the keys of its issuer cannot be fetched now: send it again');
}

const refuse = (err: SecurityEventError, description: string): SecurityEventRefusal => ({ err, description });
