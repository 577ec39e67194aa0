import type { Task } from '../../domain/task.ts';

/**
 * Claims of a task token: an OAuth 2.0 JWT access token (RFC 9068) with the actor of RFC 8693 section 4.1.
 * With a user, `sub` is the user's subject at the identity provider named in `user.iss`, and `act.sub` the agent.
 * Without one, `sub` is the agent and there is neither `act` nor `user`.
 */
export interface TaskTokenClaims {
  readonly iss: string;
  readonly aud: string;
  readonly sub: string;
  readonly client_id: string;
  readonly iat: number;
  readonly exp: number;
  readonly jti: string;
  readonly tenant: string;
  readonly task: string;
  readonly act?: { readonly sub: string };
  readonly user?: { readonly iss: string; readonly groups: readonly string[] };
  /**
   * Thumbprint of the key that the agent authenticated with. Not `cnf` (RFC 7800): that would claim that the token is
   * bound to the key, and this one is a bearer token.
   */
  readonly client_jkt?: string;
}

/** What of the claims does not depend on the library's token: everything but `jti`. */
export function toClaims(
  task: Task,
  token: { issuer: string; resource: string; now: number; tokenSeconds: number; clientThumbprint: string | undefined },
): Omit<TaskTokenClaims, 'jti'> {
  const iat = Math.floor(token.now / 1000);
  const { user } = task;
  return {
    iss: token.issuer,
    aud: token.resource,
    sub: user === undefined ? task.agent : user.subject,
    client_id: task.agent,
    iat,
    // Never past the task's own end, whose milliseconds are cut off rather than rounded up.
    exp: Math.min(iat + token.tokenSeconds, Math.floor(task.expiresAt / 1000)),
    tenant: task.tenant,
    task: task.id,
    ...(user !== undefined && { act: { sub: task.agent }, user: { iss: user.issuer, groups: user.groups } }),
    ...(token.clientThumbprint !== undefined && { client_jkt: token.clientThumbprint }),
  };
}
