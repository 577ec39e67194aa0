import { RemitError } from '../../domain/errors.ts';
import type { JsonObject } from '../../domain/json.ts';
import { Secret } from '../../domain/secret.ts';
import type { IssuedCredential, IssueRequest, Issuer } from '../../seams/issuer.ts';
import { ServiceRefusal, textOf } from '../clouds/ask-json.ts';
import { createGithubClient, type GithubServer } from './github-client.ts';
import { beyond, describeGithubScope, type GithubScope, type GithubScopeMap, githubScope } from './github-scope.ts';
import { describeFault, issueFault, orAbort } from './issuer-faults.ts';

export interface GithubAppIssuerOptions extends GithubServer, GithubScopeMap {
  readonly close: () => Promise<void>;
  /** Longest one revoke may take, milliseconds. */
  readonly revokeWithinMs?: number;
}

/** GitHub's tokens end after an hour, whatever anybody asks. */
const TOKEN_SECONDS = 3_600;
/** Between its clock and ours. */
const SKEW_MS = 60_000;
const REVOKE_WITHIN_MS = 10_000;

/**
 * An installation token of a GitHub App for one lease: for the repositories and permissions of the task, and no more. It has no name of ours, so
 * the token itself is the handle that revoking takes.
 */
export function createGithubAppIssuer(options: GithubAppIssuerOptions): Issuer {
  const { account, clock, revokeWithinMs = REVOKE_WITHIN_MS } = options;
  const github = createGithubClient(options);
  const downstream = `${github.api} installation ${options.installationId}`;

  async function issue(request: IssueRequest): Promise<IssuedCredential> {
    const { signal, resources, actionClasses, expiresAt } = request;
    signal.throwIfAborted();
    if (expiresAt <= clock()) throw new RemitError('ERR_CREDENTIAL_ISSUE', 'the lease ends before it begins');
    const scope = githubScope(options, resources, actionClasses);
    const answer = await github.createToken(scope, signal);
    const token = textOf(answer, 'token');
    try {
      signal.throwIfAborted();
      return {
        fields: { token: new Secret(token) },
        scope: describeGithubScope(scope, account),
        nativeExpiresAt: endOf(answer, scope),
        handle: new Secret(token),
      };
    } catch (error) {
      // Best effort: nobody has it but this process, and it ends by itself.
      await github.revokeToken(token, AbortSignal.timeout(revokeWithinMs)).catch(() => {});
      throw error;
    }
  }

  /** When it ends, if it is no more than what was asked for. Milliseconds since the epoch. */
  function endOf(answer: JsonObject, scope: GithubScope): number {
    const { permissions, repositories, repository_selection: selection } = answer;
    const [more] = beyond(scope, { permissions, repositories, selection });
    if (more !== undefined) throw wider(more);
    const endsAt = Date.parse(textOf(answer, 'expires_at'));
    if (Number.isNaN(endsAt)) throw wider('it does not say when it ends');
    if (endsAt > clock() + TOKEN_SECONDS * 1000 + SKEW_MS) throw wider('it lives longer than an hour');
    return endsAt;
  }

  return {
    kind: 'github_app',
    downstream,
    minTtlSeconds: TOKEN_SECONDS,
    /** From the next request on; what is under way goes on. */
    revocation: 'next_use',
    needsHandle: true,
    async issue(request) {
      try {
        return await issue(request);
      } catch (error) {
        const hint = error instanceof ServiceRefusal ? HINTS[error.status] : undefined;
        throw issueFault(error, request.signal, {
          where: downstream,
          what: 'no token was given',
          hint: hint ?? 'See that GitHub answers there, and what it has against the app.',
        });
      }
    },
    async revoke(lease, handle) {
      if (handle === undefined) return;
      const signal = AbortSignal.timeout(revokeWithinMs);
      try {
        await orAbort(github.revokeToken(handle.reveal(), signal), signal, () => {});
      } catch (error) {
        // By now it has ended by itself.
        if (lease.nativeExpiresAt !== undefined && lease.nativeExpiresAt <= clock()) return;
        const fault = signal.aborted ? `not done within ${revokeWithinMs} ms` : describeFault(error);
        throw new RemitError('ERR_CREDENTIAL_REVOKE', `the token may still be good: ${fault}`, {
          where: downstream,
          hint: 'It is tried again, and ends by itself an hour after it was made. See that GitHub answers there.',
        });
      }
    },
    close: () => options.close(),
  };
}

/** What a refusal of GitHub's usually means. */
const HINTS: Readonly<Record<number, string>> = {
  401: 'It does not take the app’s JWT: see appId, the private key, and this host’s clock.',
  403: 'The installation is suspended, or the rate limit is used up: its words say which.',
  404: 'There is no such installation of this app: see installationId, and whether it was taken away.',
  422: 'The installation has not all of these repositories or permissions: see what its owner has granted, and credential.githubApp.permissions.',
};

function wider(how: string): RemitError {
  return new RemitError('ERR_CREDENTIAL_ISSUE', `GitHub gave something else than was asked for: ${how}`, {
    hint: 'The token was revoked. See whether that is GitHub’s API at that address.',
  });
}
