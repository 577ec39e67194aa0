import { ResponseBodyError, type ServerMetadata, tokenRevocation } from 'openid-client';
import { RemitError } from '../../../domain/errors.ts';
import type { Lease } from '../../../domain/lease.ts';
import { Secret } from '../../../domain/secret.ts';
import type { IssuedCredential, IssueRequest, Issuer } from '../../../seams/issuer.ts';
import { describeFault, issueFault, orAbort } from '../issuer-faults.ts';
import { oauthScopes } from '../oauth-scope.ts';
import { summary, withoutCause } from '../oauth-summary.ts';
import { boundOf } from '../oauth-token.ts';
import type { Authorization } from './authorization.ts';
import { configure } from './configure.ts';
import { findServer } from './find-server.ts';
import { giveBack } from './give-back.ts';
import { createRefresher, type Refreshed } from './refresher.ts';
import type { McpOauthSetup } from './setup.ts';
import { usable } from './usable.ts';

const REVOKE_WITHIN_MS = 10_000;

/**
 * An access token for one lease, refreshed from what the connector's owner authorised. The token, with the issuer that gave it and the client that
 * it was given to, is the handle that revoking takes (RFC 7009).
 */
export function createMcpOauthIssuer(setup: McpOauthSetup): Issuer {
  const { connector, url, store, clock } = setup;
  let known: ServerMetadata | undefined;
  const refresher = createRefresher(setup, serverOf);

  /** Read once for each issuer: what a server is does not change while a gateway runs. */
  async function serverOf(issuer: string): Promise<ServerMetadata> {
    if (known?.issuer !== issuer) known = await findServer(issuer, url, setup.fetch);
    return known;
  }

  async function issue(request: IssueRequest): Promise<IssuedCredential> {
    const { authorization } = usable(await store.read(), setup);
    if (authorization.refreshToken === undefined) return sharedToken(authorization, request);
    const refreshed = await orAbort(
      refresher.refresh((current) => scopesFor(current, request)),
      request.signal,
      (late) => void drop(late),
    );
    try {
      return issued(refreshed, request);
    } catch (error) {
      await drop(refreshed);
      throw error;
    }
  }

  function issued({ answer, authorization, sentAt, receivedAt }: Refreshed, request: IssueRequest): IssuedCredential {
    const asked = scopesFor(authorization, request);
    const given = answer.scope?.split(' ').filter((scope) => scope !== '') ?? [];
    // Where nobody ever said what was granted, the server's word is all there is.
    const scopes = asked.length > 0 ? asked : authorization.scopes.length > 0 ? authorization.scopes : given;
    const { refresh_token: _, ...token } = answer;
    const nativeExpiresAt = boundOf(token as typeof answer, {
      scopes,
      expiresAt: request.expiresAt,
      sentAt,
      receivedAt,
    });
    return {
      fields: { token: new Secret(answer.access_token) },
      scope: scopeText(answer.scope === undefined ? scopes : given, authorization),
      nativeExpiresAt,
      handle: new Secret(
        `${authorization.issuer} ${answer.access_token} ${encodeURIComponent(authorization.identity.id)}`,
      ),
    };
  }

  /** Of an exception: nobody revokes it, since every lease is it (L2, L7). */
  function sharedToken(authorization: Authorization, request: IssueRequest): IssuedCredential {
    const shared = authorization.sharedToken;
    if ((setup.sharedTokenUntil ?? 0) <= clock()) {
      throw new RemitError('ERR_CREDENTIAL_ISSUE', 'the exception under which all leases share a token has ended', {
        hint: 'Renew credential.mcpOauth.sharedToken deliberately, or authorise at a server that gives refresh tokens.',
      });
    }
    if (shared === undefined || shared.expiresAt <= clock()) {
      throw new RemitError('ERR_CREDENTIAL_ISSUE', 'the token that its owner’s authorization gave is over', {
        hint: setup.renewal,
      });
    }
    if (shared.expiresAt > request.expiresAt) {
      throw new RemitError('ERR_CREDENTIAL_ISSUE', 'the token outlives its lease', {
        hint: 'Say how long its tokens live in credential.mcpOauth.tokenSeconds.',
      });
    }
    const token = shared.value.revealBytes();
    const fields = { token: new Secret(token) };
    token.fill(0);
    return {
      fields,
      scope: `${scopeText(authorization.scopes, authorization)}, shared by all leases`,
      nativeExpiresAt: shared.expiresAt,
    };
  }

  /** What to narrow a refresh to (RFC 6749 section 6); none where the owner did not say how. */
  function scopesFor(authorization: Authorization, { resources, actionClasses }: IssueRequest): readonly string[] {
    if (setup.scopes === undefined) return [];
    // The gateway's own discovery is of no task: it reads.
    const isDiscovery = resources.length === 0 && actionClasses.length === 0;
    const scopes = isDiscovery
      ? (setup.scopes.classes.read ?? [])
      : oauthScopes(setup.scopes, resources, actionClasses);
    const lacking = scopes.filter((scope) => authorization.scopes.length > 0 && !authorization.scopes.includes(scope));
    if (lacking.length === 0) return scopes;
    throw new RemitError('ERR_CREDENTIAL_ISSUE', `its owner did not authorise ${lacking.join(' ')}`, {
      hint:
        setup.named === undefined
          ? `The owner authorises anew: \`remit connector authorize ${connector} --scope ${lacking.join(' --scope ')}\`.`
          : setup.renewal,
    });
  }

  /** What is refused, or comes too late, must not live on. */
  async function drop({ answer, authorization, metadata }: Refreshed): Promise<void> {
    if (setup.revokesTokens) await giveBack(setup, metadata, authorization.identity, [answer.access_token]);
  }

  async function revoke(lease: Lease, handle: Secret): Promise<void> {
    const [issuer = '', token = '', client] = handle.reveal().split(' ');
    const authorization = (await store.read())?.authorization;
    // Another client may not revoke its tokens, and may be told that all is well (RFC 7009 section 2.1). Handles of an earlier Remit name none.
    const isOfClient = client === undefined || decodeURIComponent(client) === authorization?.identity.id;
    if (authorization?.issuer !== issuer || !isOfClient) {
      // Who Remit was there went with it: it was authorised anew elsewhere, or as another, while this could not be revoked.
      if (lease.revocation === 'expiry_only' || (lease.nativeExpiresAt ?? 0) <= clock()) return;
      throw new Error('the authorization that it came from is gone');
    }
    const metadata = await serverOf(issuer);
    if (metadata.revocation_endpoint === undefined) return;
    try {
      // RFC 7009 section 2.2: a token that is not known, or not valid any more, is answered like one that was revoked.
      await tokenRevocation(await configure(setup, metadata, authorization.identity), token, {
        token_type_hint: 'access_token',
      });
      refresher.noteRevoked();
    } catch (error) {
      const isUnsupported = error instanceof ResponseBodyError && error.error === 'unsupported_token_type';
      if (!isUnsupported || setup.isIntrospected) throw error;
    }
  }

  return {
    kind: setup.named === undefined ? 'mcp_oauth' : 'oauth_refresh',
    // With the client: another one may not revoke its tokens, and would be told that there are none (RFC 7009 section 2.1).
    downstream: setup.named === undefined ? url : `${url} as ${setup.clientId}`,
    minTtlSeconds: Math.max(1, setup.tokenSeconds),
    /** As for other tokens of other servers: claimed once it is known, and never of a token that all leases share. */
    get revocation() {
      const canRevoke = setup.revokesTokens && known?.revocation_endpoint !== undefined;
      return canRevoke && setup.isIntrospected && setup.sharedTokenUntil === undefined ? 'next_use' : 'expiry_only';
    },
    needsHandle: true,
    async issue(request) {
      try {
        request.signal.throwIfAborted();
        return await issue(request);
      } catch (error) {
        throw withoutCause(
          issueFault(summary(error), request.signal, {
            where: `connectors.${connector}`,
            what: 'no token was given',
            hint: 'See what its authorization server has against it. What the owner authorised is kept.',
          }),
        );
      }
    },
    async revoke(lease, handle) {
      if (handle === undefined || !setup.revokesTokens) return;
      const signal = AbortSignal.timeout(REVOKE_WITHIN_MS);
      try {
        await orAbort(revoke(lease, handle), signal, () => {});
      } catch (error) {
        // By now its server takes it no more, whoever Remit was there when it was given.
        if (lease.nativeExpiresAt !== undefined && lease.nativeExpiresAt <= clock()) return;
        const fault = signal.aborted ? `not done within ${REVOKE_WITHIN_MS} ms` : describeFault(summary(error));
        throw new RemitError('ERR_CREDENTIAL_REVOKE', `the token may still be good: ${fault}`, {
          where: url,
          hint: 'It is tried again. See that its authorization server answers, and that it revokes tokens of this client.',
        });
      }
    },
    async close() {
      await refresher.close();
      await setup.close();
    },
  };
}

const scopeText = (scopes: readonly string[], { resource, issuer }: Authorization): string =>
  `${scopes.join(' ') || 'what was authorised'} at ${resource ?? issuer}`;
