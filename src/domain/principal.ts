import type { AgentId, TaskId, TenantId } from './ids.ts';

/** The human on whose behalf an agent acts, as an identity provider vouched for them. Never asserted by an agent. */
export interface User {
  /** Issuer that vouched (`iss` of the subject token). */
  readonly issuer: string;
  readonly subject: string;
  readonly groups: readonly string[];
}

/** One text for a user, unique across issuers: `issuer#subject`. */
export const userKey = (user: User): string => `${user.issuer}#${user.subject}`;

/** The authenticated caller of one request. Made by an `Authenticator` only, never from a request's own claims. */
export interface Principal {
  readonly tenant: TenantId;
  readonly user: User | undefined;
  readonly agent: AgentId;
  /** RFC 8693 `act` chain below the agent, nearest first; empty when the agent acts itself. */
  readonly actors: readonly AgentId[];
  /** How the running instance proved itself, for example `private_key_jwt:<key thumbprint>`. */
  readonly workload: string;
  readonly task: TaskId;
  /** `jti` of the token, for the record. */
  readonly tokenId: string;
  /** Milliseconds since the epoch. */
  readonly tokenExpiresAt: number;
}
