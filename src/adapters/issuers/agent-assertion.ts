import { RemitError } from '../../domain/errors.ts';
import type { Clock } from '../../seams/clock.ts';
import type { IssueRequest } from '../../seams/issuer.ts';

/** Claims of a JWT that the gateway signs; `iss` is the signer's. Times are seconds. */
export interface AssertionClaims {
  readonly aud: string;
  readonly sub: string;
  readonly iat: number;
  readonly exp: number;
  readonly jti: string;
  readonly [claim: string]: unknown;
}

/** Signs with the gateway's key for connectors, as `iss` the gateway. `type` is the header's `typ`. */
export type SignAssertion = (claims: AssertionClaims, type: string) => Promise<string>;

/** What reaches a connector is a header: servers refuse large ones. */
const MOST_RESOURCE_BYTES = 4_096;

/**
 * Who acts, in whose name, on what: as in a task token (RFC 9068, RFC 8693 section 4.1). With a user, `sub` is the user's subject at the
 * provider that `user.iss` names, and `act.sub` the agent; without one, `sub` is the agent. `jti` is the lease's tag.
 */
export function assertionClaims(
  request: IssueRequest,
  audience: string,
  scope: readonly string[],
  clock: Clock,
): AssertionClaims {
  const iat = Math.floor(clock() / 1000);
  // Cut off, never rounded up: it must not outlive its lease.
  const exp = Math.floor(request.expiresAt / 1000);
  if (exp <= iat) throw new RemitError('ERR_CREDENTIAL_ISSUE', 'the lease ends before it begins');
  if (Buffer.byteLength(JSON.stringify(request.resources)) > MOST_RESOURCE_BYTES) {
    throw new RemitError('ERR_CREDENTIAL_ISSUE', 'the task names more resources than a token can carry', {
      hint: `Name fewer, or end them with *: ${MOST_RESOURCE_BYTES} bytes of names at most.`,
    });
  }
  const { agent, user, tenant, task, connector, tool, tag, resources } = request;
  return {
    aud: audience,
    sub: user === undefined ? agent : user.subject,
    client_id: agent,
    iat,
    exp,
    jti: tag,
    tenant,
    task,
    connector,
    ...(tool !== undefined && { tool }),
    scope: scope.join(' '),
    resources,
    ...(user !== undefined && { act: { sub: agent }, user: { iss: user.issuer } }),
  };
}
