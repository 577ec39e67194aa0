import { ResponseBodyError, refreshTokenGrant, type ServerMetadata, type TokenEndpointResponse } from 'openid-client';
import { isRemitError, RemitError } from '../../../domain/errors.ts';
import { Secret } from '../../../domain/secret.ts';
import type { Authorization, StoredAuthorization } from './authorization.ts';
import { claimRefresh } from './claim-refresh.ts';
import { configure } from './configure.ts';
import { giveBack } from './give-back.ts';
import { keepRotated, type Rotated } from './keep-rotated.ts';
import { type NotedFetch, noteFetch } from './noted-fetch.ts';
import { patientFetch } from './patient-fetch.ts';
import type { McpOauthSetup } from './setup.ts';
import { AFTER_LOST_ANSWER, AFTER_REVOKE, over, usable } from './usable.ts';

/** An access token, and what it was refreshed from. Times are milliseconds since the epoch. */
export interface Refreshed {
  readonly answer: TokenEndpointResponse;
  readonly authorization: Authorization;
  readonly metadata: ServerMetadata;
  readonly sentAt: number;
  readonly receivedAt: number;
}

/** Chosen from the authorization as it is when its turn comes. */
type ChooseScopes = (authorization: Authorization) => readonly string[];

export interface Refresher {
  /**
   * One at a time, in this process and, by the vault's row, among all. Not within a lease's deadline: an answer that nobody waits for any more
   * may hold the only refresh token that is still good.
   * @param scopes to narrow to, none for all
   * @throws `ERR_CREDENTIAL_ISSUE`, `ERR_STORE_…`, the library's errors
   */
  refresh(scopes: ChooseScopes): Promise<Refreshed>;
  /** An access token was revoked: where the next refresh finds the authorization gone, that is why. */
  noteRevoked(): void;
  /** Waits for the refresh that is under way, and stores what could not be stored yet. */
  close(): Promise<void>;
}

/** A connection that broke is tried once more within the claim; a server that was waited for is not. */
const ASK_AGAIN_WITHIN_MS = 3_000;
const SAVE_AGAIN_MS = 1_000;
const ANSWER_MS = 10_000;
/** Whoever refreshes one after the other claims the row anew before another that waits has looked: so long, and then it gives way. */
const AT_A_STRETCH_MS = 1_000;
/** Longer than between two looks of one that waits. */
const GIVE_WAY_MS = 150;

/** @param serverOf metadata of an issuer */
export function createRefresher(
  setup: McpOauthSetup,
  serverOf: (issuer: string) => Promise<ServerMetadata>,
): Refresher {
  const { store, clock, schedule, random } = setup;
  const self = Buffer.from(random(8)).toString('hex');
  let last: Promise<unknown> = Promise.resolve();
  /** A rotated token that the store would not take: the server takes no other. */
  let unsaved: Rotated | undefined;
  let stopSaving = (): void => {};
  let isAfterRevoke = false;
  let isClosing = false;
  let isBusySince = 0;
  let wasBusyAt = 0;

  async function giveWay(): Promise<void> {
    const now = clock();
    if (now - wasBusyAt > GIVE_WAY_MS) isBusySince = now;
    if (now - isBusySince < AT_A_STRETCH_MS) return;
    await new Promise<void>((resolve) => void schedule(GIVE_WAY_MS, resolve));
    isBusySince = clock();
  }

  async function save(rotated: Rotated): Promise<void> {
    try {
      await keepRotated(store, rotated);
      if (unsaved === rotated) unsaved = undefined;
    } catch (error) {
      // The owner authorised anew meanwhile, or took it away: what this one was refreshed from is over.
      if (isRemitError(error, 'ERR_STORE_LOCKED') && unsaved === rotated) unsaved = undefined;
      throw error;
    }
  }

  /** While this process lives, so does the token: it is not left to the next lease to store it. */
  function saveLater(): void {
    stopSaving();
    stopSaving = schedule(SAVE_AGAIN_MS, () => {
      if (unsaved === undefined) return;
      last = last.then(() => (unsaved === undefined ? undefined : save(unsaved))).catch(saveLater);
    });
  }

  /** What the server gave for the row's token, on the row before anybody looks at the access token. */
  async function keep(
    answer: TokenEndpointResponse,
    { authorization, version }: StoredAuthorization,
    metadata: ServerMetadata,
  ): Promise<Authorization> {
    const { refresh_token: rotated, access_token: token } = answer;
    const refreshToken = rotated === undefined ? authorization.refreshToken : new Secret(rotated);
    const next = { ...authorization, refreshToken, claim: undefined, unanswered: undefined };
    const change: Rotated = { authorization: next, version, sent: authorization.refreshToken?.reveal() ?? '' };
    // Whatever is wrong with the access token, the old refresh token may be good no more.
    if (rotated !== undefined) unsaved = change;
    try {
      await save(change);
    } catch (error) {
      if (unsaved !== undefined) saveLater();
      if (setup.revokesTokens) await giveBack(setup, metadata, authorization.identity, [token]);
      throw error;
    }
    isAfterRevoke = false;
    return next;
  }

  async function grant(
    noted: NotedFetch,
    metadata: ServerMetadata,
    { identity, refreshToken, resource }: Authorization,
    scopes: readonly string[],
  ): Promise<TokenEndpointResponse> {
    const configuration = await configure({ ...setup, fetch: noted.fetch }, metadata, identity);
    // Its own deadline, below, is more patient.
    configuration.timeout = 0;
    const parameters = {
      ...(resource !== undefined && { resource }),
      ...(scopes.length > 0 && { scope: scopes.join(' ') }),
    };
    const ask = (): Promise<TokenEndpointResponse> =>
      refreshTokenGrant(configuration, refreshToken?.reveal() ?? '', parameters);
    const askedAt = clock();
    try {
      return await ask();
    } catch (error) {
      // The token may be used up by now, and where the server has a grace for that, it is short.
      if (noted.isUnanswered() && clock() - askedAt < ASK_AGAIN_WITHIN_MS) return ask();
      throw error;
    }
  }

  async function refresh(scopes: ChooseScopes, isLast = false): Promise<Refreshed> {
    if (isClosing) throw new RemitError('ERR_CREDENTIAL_ISSUE', 'the gateway is stopping', { hint: 'Try again.' });
    // Until it is stored, nothing but what is in memory is good for anything.
    if (unsaved !== undefined) await save(unsaved);
    // Read before the row is claimed: a server that says nothing about itself is nothing to hold others up for.
    await serverOf(usable(await store.read(), setup).authorization.issuer);
    const claimed = await claimRefresh(setup, self, () => isClosing);
    const { authorization } = claimed;
    const noted = noteFetch(patientFetch(setup.fetch, schedule, ANSWER_MS));
    const sentAt = clock();
    let metadata: ServerMetadata;
    let answer: TokenEndpointResponse;
    try {
      const narrowed = scopes(authorization);
      metadata = await serverOf(authorization.issuer);
      answer = await grant(noted, metadata, authorization, narrowed);
    } catch (error) {
      const isOver = await release(claimed, noted, sentAt, error);
      if (isOver === undefined) throw error;
      if (isOver !== 'replaced') throw over(setup, isOver.reason);
      if (isLast) throw error;
      return refresh(scopes, true);
    }
    const receivedAt = clock();
    const next = await keep(answer, claimed, metadata);
    return { answer, authorization: next, metadata, sentAt, receivedAt };
  }

  /**
   * Of a refresh that came to nothing. The token stays through everything but the server's own word that it is over (RFC 6749 section 5.2).
   * @returns why it is over; `replaced` where another process has stored a newer one meanwhile; undefined where it is not over
   */
  async function release(
    { authorization, version }: StoredAuthorization,
    noted: NotedFetch,
    sentAt: number,
    error: unknown,
  ): Promise<{ reason: string } | 'replaced' | undefined> {
    const isOver = error instanceof ResponseBodyError && error.error === 'invalid_grant';
    const wasLost = authorization.unanswered !== undefined || noted.lostOne();
    const reason = isAfterRevoke ? AFTER_REVOKE : wasLost ? AFTER_LOST_ANSWER : 'invalid_grant';
    const unanswered = noted.isUncertain() ? { at: sentAt } : authorization.unanswered;
    const ended = isOver ? { at: clock(), reason } : undefined;
    const isWritten = await store.write({ ...authorization, claim: undefined, unanswered, ended }, version).then(
      () => true,
      () => false,
    );
    if (!isOver) return undefined;
    const now = isWritten ? undefined : await store.read();
    const isReplaced =
      now !== undefined && now.authorization.refreshToken?.reveal() !== authorization.refreshToken?.reveal();
    return isReplaced ? 'replaced' : { reason };
  }

  return {
    noteRevoked() {
      isAfterRevoke = true;
    },
    refresh(scopes) {
      const turn = last.then(giveWay).then(() => refresh(scopes));
      last = turn
        .catch(() => {})
        .then(() => {
          wasBusyAt = clock();
        });
      return turn;
    },
    async close() {
      isClosing = true;
      stopSaving();
      await last.catch(() => {});
      if (unsaved !== undefined) await save(unsaved).catch(() => {});
    },
  };
}
