import { RemitError } from '../../domain/errors.ts';
import { Secret } from '../../domain/secret.ts';
import type { Clock } from '../../seams/clock.ts';
import type { IssuedCredential, IssueRequest, Issuer } from '../../seams/issuer.ts';
import { asksForNothing, chooseRule, type RightsRule } from './choose-rule.ts';
import { describeFault, issueFault, orAbort } from './issuer-faults.ts';
import { createKubernetesApi, type KubernetesServer } from './kubernetes-api.ts';
import { assertLeaseTag } from './lease-tag.ts';

/** A service account, and what it is for: what it may do is bound by RBAC, there. */
export interface KubernetesRule extends RightsRule {
  readonly serviceAccount: string;
}

export interface KubernetesIssuerOptions extends KubernetesServer {
  readonly rules: readonly KubernetesRule[];
  /** For the gateway's own listing; undefined: a server that needs a credential for it is not listed. */
  readonly discoveryServiceAccount: string | undefined;
  /** `aud` of the tokens; empty: the API server's own. */
  readonly audiences: readonly string[];
  /** Whether those audiences ask the API server about a token (`TokenReview`) at each use: otherwise revoking does not reach them. */
  readonly isReviewed: boolean;
  readonly clock: Clock;
  readonly close: () => Promise<void>;
  /** Longest one revoke may take, milliseconds. */
  readonly revokeWithinMs?: number;
}

/** The API server gives none for less (`expirationSeconds`, validation of `TokenRequest`). */
const LEAST_SECONDS = 600;
const REVOKE_WITHIN_MS = 10_000;
const ROUNDING_MS = 1_000;
const RULES_AT = 'credential.kubernetes.serviceAccounts';

/**
 * A token of a service account per lease, bound to a Secret of the lease's name: once that is deleted, the API server takes the token for
 * nothing. So revoking needs the tag alone, and an issue that was cut off leaves nothing that can be used (guarantees L2, L5).
 */
export function createKubernetesIssuer(options: KubernetesIssuerOptions): Issuer {
  const { rules, discoveryServiceAccount, audiences, clock, revokeWithinMs = REVOKE_WITHIN_MS } = options;
  const api = createKubernetesApi(options);

  async function issue(request: IssueRequest): Promise<IssuedCredential> {
    const { tag, task, agent, expiresAt, signal } = request;
    signal.throwIfAborted();
    const name = secretNameOf(tag);
    const account = accountOf(request);
    const left = Math.floor((expiresAt - clock()) / 1000);
    if (left < 1) throw new RemitError('ERR_CREDENTIAL_ISSUE', 'the lease ends before it begins');
    const seconds = Math.max(LEAST_SECONDS, left);
    const latest = clock() + seconds * 1000;
    const uid = await api.createSecret(name, { 'remit/task': task, 'remit/agent': agent }, signal);
    const { token, expiresAt: tokenEndsAt } = await api.requestToken(
      account,
      { name, uid },
      { audiences, seconds },
      signal,
    );
    if (tokenEndsAt > Math.max(latest, expiresAt) + ROUNDING_MS) {
      throw new RemitError(
        'ERR_CREDENTIAL_ISSUE',
        `a token for ${seconds} s was asked for, and one until ${new Date(tokenEndsAt).toISOString()} given`,
      );
    }
    return {
      fields: { token: new Secret(token) },
      scope: `service account ${account} in ${options.namespace}${audiences.length > 0 ? ` for ${audiences.join(', ')}` : ''}`,
      nativeExpiresAt: Math.min(tokenEndsAt, Math.max(latest, expiresAt)),
    };
  }

  function accountOf(request: IssueRequest): string {
    if (!asksForNothing(request)) return chooseRule(rules, request, RULES_AT).serviceAccount;
    if (discoveryServiceAccount !== undefined) return discoveryServiceAccount;
    throw new RemitError('ERR_CREDENTIAL_ISSUE', 'no service account is named for a credential that opens nothing', {
      hint: 'Name credential.kubernetes.discoveryServiceAccount: one without any role.',
    });
  }

  /** Whatever it left, it left under its name: best effort, as the lease is revoked in any case. */
  async function takeBack(tag: string): Promise<void> {
    const signal = AbortSignal.timeout(revokeWithinMs);
    await api.deleteSecret(secretNameOf(tag), signal).catch(() => {});
  }

  return {
    kind: 'kubernetes',
    downstream: api.where,
    minTtlSeconds: LEAST_SECONDS,
    revocation: audiences.length === 0 || options.isReviewed ? 'next_use' : 'expiry_only',
    async issue(request) {
      try {
        return await orAbort(issue(request), request.signal, ({ fields }) => fields.token?.wipe());
      } catch (error) {
        if (!request.signal.aborted) await takeBack(request.tag);
        throw issueFault(error, request.signal, {
          where: api.where,
          what: 'no token was given',
          hint: 'See that the service account exists, and that Remit may create and delete secrets, and create serviceaccounts/token, in that namespace.',
        });
      }
    },
    async revoke({ tag }) {
      const signal = AbortSignal.timeout(revokeWithinMs);
      try {
        await orAbort(api.deleteSecret(secretNameOf(tag), signal), signal, () => {});
      } catch (error) {
        const fault = signal.aborted ? `not done within ${revokeWithinMs} ms` : describeFault(error);
        throw new RemitError('ERR_CREDENTIAL_REVOKE', `the token of ${tag} may still be good: ${fault}`, {
          where: api.where,
          hint: 'It is tried again. See that the API server answers and that Remit may delete secrets in that namespace.',
          cause: error,
        });
      }
    },
    close: () => options.close(),
  };
}

/** A DNS name, which has no `_` (RFC 1123). Only what has a tag of ours is ever deleted. */
function secretNameOf(tag: string): string {
  assertLeaseTag(tag);
  return tag.replace('_', '-');
}
