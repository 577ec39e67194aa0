import type { CryptoKey } from 'jose';
import type { RandomBytes } from '../../../domain/ids.ts';
import type { Secret } from '../../../domain/secret.ts';
import type { Clock, Schedule } from '../../../seams/clock.ts';
import type { Fetch } from '../oauth-client.ts';
import type { OauthScopeMap } from '../oauth-scope.ts';
import type { AuthorizationStore, ClientMethod } from './authorization.ts';

/** An authorization server that the configuration names, of a downstream that does not say itself where it is authorised at. */
export interface NamedServer {
  /** RFC 8707, where that server knows resources. */
  readonly resource: string | undefined;
  readonly method: ClientMethod;
}

/** One connector whose server wants OAuth, as configured, and what its authorization needs of the gateway. */
export interface McpOauthSetup {
  readonly connector: string;
  /** Of its server; with `named`, of the authorization server. */
  readonly url: string;
  /** Then `server` and `clientId` are configured too, and nothing is asked of the connector. */
  readonly named: NamedServer | undefined;
  /** What its owner does about an authorization that is missing or over, for people. */
  readonly renewal: string;
  /** Issuer that its owner insists on; undefined: the first that the server names. */
  readonly server: string | undefined;
  readonly clientId: string | undefined;
  readonly clientSecret: (() => Promise<Secret>) | undefined;
  /** For `private_key_jwt`. */
  readonly clientKey: () => Promise<{ key: CryptoKey; kid: string }>;
  /** How a lease is narrowed to its task; undefined: it has what was authorised. */
  readonly scopes: OauthScopeMap | undefined;
  /** Longest life of the server's access tokens: seconds. */
  readonly tokenSeconds: number;
  readonly isIntrospected: boolean;
  /** Whether revoking one access token leaves the refresh token alone: RFC 7009 section 2.1 lets a server do either. */
  readonly revokesTokens: boolean;
  /** Until when one access token may serve all leases, where no refresh token is given: an exception of the owner's. Milliseconds since the epoch. */
  readonly sharedTokenUntil: number | undefined;
  readonly store: AuthorizationStore;
  /** How long a refresh may hold the row before another process takes it for dead, milliseconds; longer than one takes. */
  readonly claimMs?: number;
  /** Guarded: what is fetched is of strangers' choosing. */
  readonly fetch: Fetch;
  readonly clock: Clock;
  readonly schedule: Schedule;
  readonly random: RandomBytes;
  /** Frees the connections of `fetch`. */
  close(): Promise<void>;
}

/** What authorising takes beyond leasing. */
export interface AuthorizerSetup extends McpOauthSetup {
  /** Address of the document that says who Remit is; undefined where there is none that a server could fetch. */
  readonly documentUrl: string | undefined;
  /** Where the authorization server sends the owner's browser. */
  readonly callback: string;
}
