import type { JsonObject } from '../domain/json.ts';

/** A security event token (RFC 8417) whose signature, issuer, audience and type were verified. */
export interface SecurityEvent {
  /** Name of the transmitter in the configuration. */
  readonly transmitter: string;
  readonly issuer: string;
  readonly jti: string;
  /** Milliseconds since the epoch. */
  readonly issuedAt: number;
  /** RFC 9493: whom it is about, where the token says it once for all its events. */
  readonly subject: JsonObject | undefined;
  /** Payloads by event type URI. */
  readonly events: Readonly<Record<string, JsonObject>>;
}

/** Error codes of RFC 8935 section 2.4. */
export type SecurityEventError =
  | 'invalid_request'
  | 'invalid_key'
  | 'invalid_issuer'
  | 'invalid_audience'
  | 'authentication_failed'
  | 'access_denied';

export interface SecurityEventRefusal {
  readonly err: SecurityEventError;
  readonly description: string;
}

/** Verifies what a transmitter has pushed. Never throws for a bad token; a transmitter whose keys cannot be had is refused. */
export interface SecurityEventVerifier {
  /** @param authorization the request's header, where the transmitter has to show one */
  verify(token: string, authorization: string | undefined): Promise<SecurityEvent | SecurityEventRefusal>;
}
