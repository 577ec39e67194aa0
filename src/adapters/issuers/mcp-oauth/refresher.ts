import { ResponseBodyError, refreshTokenGrant, type ServerMetadata, type TokenEndpointResponse } from 'openid-client';
import { isRemitError, RemitError } from '../../../domain/errors.ts';
import { Secret } from '../../../domain/secret.ts';
import type { Authorization, StoredAuthorization } from './authorization.ts';
import { configure } from './configure.ts';
import { giveBack } from './give-back.ts';
import type { McpOauthSetup } from './setup.ts';

/** An access token, and what it was refreshed from. Times are milliseconds since the epoch. */
export interface Refreshed {
  readonly answer: TokenEndpointResponse;
  readonly authorization: Authorization;
  readonly metadata: ServerMetadata;
  readonly sentAt: number;
  readonly receivedAt: number;
}

export interface Refresher {
  /**
   * One at a time, in this process and, by the vault's row, among all. Not within a lease's deadline: an answer that nobody waits for any more
   * may hold the only refresh token that is still good.
   * @param scopes to narrow to, none for all; chosen from the authorization as it is when its turn comes
   * @throws `ERR_CREDENTIAL_ISSUE`, `ERR_STORE_…`, the library's errors
   */
  refresh(scopes: (authorization: Authorization) => readonly string[]): Promise<Refreshed>;
  /** An access token was revoked: where the next refresh finds the authorization gone, that is why. */
  noteRevoked(): void;
}

/** Longer than a refresh takes: a claim that lasts longer was left by a process that is gone. */
const CLAIM_MS = 20_000;
const LOOK_AGAIN_MS = 100;
const MOST_LOOKS = 250;

/** @param serverOf metadata of an issuer */
export function createRefresher(
  setup: McpOauthSetup,
  serverOf: (issuer: string) => Promise<ServerMetadata>,
): Refresher {
  const { store, clock, schedule, random } = setup;
  const self = Buffer.from(random(8)).toString('hex');
  let last: Promise<unknown> = Promise.resolve();
  /** A rotated token that the store would not take: the server takes no other. */
  let unsaved: StoredAuthorization | undefined;
  let isAfterRevoke = false;

  const pause = (): Promise<void> => new Promise((resolve) => void schedule(LOOK_AGAIN_MS, resolve));

  /** The row, claimed by this process. */
  async function claim(): Promise<StoredAuthorization> {
    for (let look = 0; look < MOST_LOOKS; look++) {
      const row = usable(await store.read(), setup.connector);
      const { claim: other } = row.authorization;
      if (other === undefined || other.by === self || other.until <= clock()) {
        const authorization = { ...row.authorization, claim: { by: self, until: clock() + CLAIM_MS } };
        const version = await store.write(authorization, row.version).catch((error: unknown) => {
          if (isRemitError(error, 'ERR_STORE_LOCKED')) return undefined;
          throw error;
        });
        if (version !== undefined) return { authorization, version };
      } else await pause();
    }
    throw new RemitError(
      'ERR_CREDENTIAL_ISSUE',
      'another gateway does not come to an end refreshing the authorization',
      {
        hint: 'Try again.',
      },
    );
  }

  async function save({ authorization, version }: StoredAuthorization): Promise<void> {
    try {
      await store.write(authorization, version);
      unsaved = undefined;
    } catch (error) {
      // The owner authorised anew meanwhile: what this one was refreshed from is over.
      if (isRemitError(error, 'ERR_STORE_LOCKED')) unsaved = undefined;
      throw error;
    }
  }

  async function refresh(scopes: (authorization: Authorization) => readonly string[]): Promise<Refreshed> {
    if (unsaved !== undefined) await save(unsaved).catch(() => {});
    const { authorization, version } = await claim();
    const release = { ...authorization, claim: undefined };
    const sentAt = clock();
    let metadata: ServerMetadata | undefined;
    try {
      const narrowed = scopes(authorization);
      metadata = await serverOf(authorization.issuer);
      const configuration = await configure(setup, metadata, authorization.identity);
      const answer = await refreshTokenGrant(configuration, authorization.refreshToken?.reveal() ?? '', {
        resource: authorization.resource,
        ...(narrowed.length > 0 && { scope: narrowed.join(' ') }),
      });
      const receivedAt = clock();
      const rotated = answer.refresh_token;
      const next = { ...release, refreshToken: rotated === undefined ? release.refreshToken : new Secret(rotated) };
      // Before anybody looks at the access token: whatever is wrong with that, the old refresh token may be good no more.
      if (rotated !== undefined) unsaved = { authorization: next, version };
      await save({ authorization: next, version }).catch(async (error: unknown) => {
        if (setup.revokesTokens) {
          await giveBack(setup, metadata as ServerMetadata, authorization.identity, [answer.access_token]);
        }
        throw error;
      });
      isAfterRevoke = false;
      return { answer, authorization: next, metadata, sentAt, receivedAt };
    } catch (error) {
      // RFC 6749 section 5.2: nothing else says that the authorization is over, and the token stays through everything else.
      const isOver = error instanceof ResponseBodyError && error.error === 'invalid_grant';
      const reason = isAfterRevoke ? AFTER_REVOKE : 'invalid_grant';
      const ended = isOver ? { at: clock(), reason } : undefined;
      if (unsaved === undefined) await store.write({ ...release, ended }, version).catch(() => {});
      throw isOver ? over(setup.connector, reason) : error;
    }
  }

  return {
    noteRevoked() {
      isAfterRevoke = true;
    },
    refresh(scopes) {
      const turn = last.then(() => refresh(scopes));
      last = turn.catch(() => {});
      return turn;
    },
  };
}

/** @throws `ERR_CREDENTIAL_ISSUE` where nobody has authorised Remit, or nobody has anew */
export function usable(row: StoredAuthorization | undefined, connector: string): StoredAuthorization {
  if (row === undefined) {
    throw new RemitError('ERR_CREDENTIAL_ISSUE', 'nobody has authorised Remit at its server', {
      where: `connectors.${connector}`,
      hint: `Its owner does, once: \`remit connector authorize ${connector}\`.`,
    });
  }
  if (row.authorization.ended !== undefined) throw over(connector, row.authorization.ended.reason);
  return row;
}

const AFTER_REVOKE = 'invalid_grant after a lease was revoked';

function over(connector: string, reason: string): RemitError {
  const anew = `Its owner authorises anew: \`remit connector authorize ${connector}\`.`;
  const why =
    'Its server seems to take revoking one token for revoking all: set credential.mcpOauth.revokeTokens: false first.';
  return new RemitError('ERR_CREDENTIAL_ISSUE', 'its authorization server takes the authorization no more', {
    where: `connectors.${connector}`,
    hint: reason === AFTER_REVOKE ? `${why} ${anew}` : anew,
  });
}
