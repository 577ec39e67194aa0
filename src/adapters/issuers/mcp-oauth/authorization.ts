import type { Secret } from '../../../domain/secret.ts';

/** How Remit shows an authorization server who it is. */
export type ClientMethod = 'none' | 'client_secret_basic' | 'client_secret_post' | 'private_key_jwt';

/** Who Remit is at one authorization server. */
export interface OauthIdentity {
  readonly id: string;
  /** `configured`: its secret is in the vault under its own name. `document`: the id is the address of a client id metadata document. */
  readonly source: 'configured' | 'document' | 'registered';
  readonly method: ClientMethod;
  /** Of a registration. */
  readonly secret: Secret | undefined;
  /** Milliseconds since the epoch; undefined where it does not end. */
  readonly secretExpiresAt: number | undefined;
  /** The callback that it is known with. */
  readonly callback: string;
}

/** That an owner authorised Remit at a connector. Times are milliseconds since the epoch. */
export interface Authorization {
  /** Nothing of it is ever sent to another issuer. */
  readonly issuer: string;
  /** RFC 8707; undefined where the server does not know resources. */
  readonly resource: string | undefined;
  readonly identity: OauthIdentity;
  /** Granted; empty where nobody said. */
  readonly scopes: readonly string[];
  readonly refreshToken: Secret | undefined;
  /** There where no refresh token was given, and an exception allows it: the one token of all leases. */
  readonly sharedToken: { readonly value: Secret; readonly expiresAt: number } | undefined;
  readonly authorizedAt: number;
  readonly authorizedBy: string;
  /** What an owner stored that it began with, by its version and fingerprint; undefined where it was given in a browser. */
  readonly from: string | undefined;
  /** Whose refresh is under way, and until when it may be. */
  readonly claim: { readonly by: string; readonly until: number } | undefined;
  /** Since when the refresh token may have been used up by a request whose answer nobody has: the process ended, or the connection. */
  readonly unanswered: { readonly at: number } | undefined;
  /** The server takes it no more. */
  readonly ended: { readonly at: number; readonly reason: string } | undefined;
}

export interface StoredAuthorization {
  readonly authorization: Authorization;
  readonly version: number;
}

/** Where one authorization is kept, sealed. Each throws `ERR_STORE_…`, `ERR_VAULT_KEY_…`. */
export interface AuthorizationStore {
  read(): Promise<StoredAuthorization | undefined>;
  /** @param after version that was read, 0 where there was none. @throws `ERR_STORE_LOCKED` where that is not the newest any more */
  write(authorization: Authorization, after: number): Promise<number>;
  remove(): Promise<boolean>;
}
