import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createMcpOauthIssuer } from '../../../src/adapters/issuers/mcp-oauth/mcp-oauth-issuer.ts';
import type { AuthorizerSetup } from '../../../src/adapters/issuers/mcp-oauth/setup.ts';
import { RemitError } from '../../../src/domain/errors.ts';
import { Secret } from '../../../src/domain/secret.ts';
import type { Issuer } from '../../../src/seams/issuer.ts';
import { issuerSuite, newLease, requestFor } from '../../suites/issuer-suite.ts';
import { memoryStore, type OauthWorld, startOauthWorld } from './oauth-world.ts';

for (const [name, revoke, isIntrospected] of [
  ['introspected tokens', true, true],
  ['tokens that are verified by their signature', true, false],
  ['a server that revokes nothing', false, true],
] as const) {
  issuerSuite(`mcp-oauth, ${name}`, async () => {
    const world = await startOauthWorld({ revoke });
    await world.authorize();
    const make = (changes: Partial<AuthorizerSetup> = {}) =>
      createMcpOauthIssuer(world.setup({ isIntrospected, ...changes }));
    const issuer = make();
    // The server's metadata decide the class: a gateway lists its connectors at the start, and has read them then.
    await issuer.issue(requestFor(newLease(issuer), AbortSignal.timeout(10_000)));
    const ended = memoryStore();
    ended.row = world.store.row && {
      ...world.store.row,
      authorization: { ...world.store.row.authorization, ended: { at: 0, reason: 'invalid_grant' } },
    };
    return {
      issuer,
      other: () => make(),
      clock: Date.now,
      resources: [],
      actionClasses: ['read'],
      async canUse({ token }) {
        const isLive = world.server.admits(token?.reveal() ?? '');
        // A connector that verifies signatures does not hear of a revocation.
        return isLive || (revoke && !isIntrospected);
      },
      exists: undefined,
      broken: [
        make({ store: memoryStore() }),
        make({ store: ended }),
        make({ fetch: () => Promise.reject(new Error('no way there')) }),
        make({
          store: {
            ...memoryStore(),
            read: () => Promise.reject(new RemitError('ERR_STORE_UNREACHABLE', 'gone', { hint: 'x' })),
          },
        }),
        make({ scopes: { classes: { read: ['notes.admin'] }, resources: undefined } }),
      ],
      secrets: [],
      stop: () => world.close(),
    };
  });
}

describe('a lease of what an owner authorised', () => {
  let world: OauthWorld;
  let issuer: Issuer;
  beforeAll(async () => {
    world = await startOauthWorld();
  });
  beforeEach(async () => {
    world.store.row = undefined;
    await world.authorize();
    issuer = createMcpOauthIssuer(world.setup());
    world.server.tokenRequests.length = 0;
  });
  afterEach(() => {
    for (const name of Object.keys(world.server.misdeeds))
      delete (world.server.misdeeds as Record<string, unknown>)[name];
  });
  afterAll(() => world.close());

  const ask = (of: Issuer = issuer, more: object = {}) =>
    of.issue({ ...requestFor(newLease(of), AbortSignal.timeout(10_000)), actionClasses: ['read'], ...more });
  const kept = () => world.store.row?.authorization;
  const failure = (message: string) => ({
    code: 'ERR_CREDENTIAL_ISSUE',
    message: expect.stringContaining(message),
    hint: expect.stringMatching(/.+/),
  });

  it('is a token of its own, for the resource, with everything that was authorised where nothing narrows it', async () => {
    const [one, other] = [await ask(), await ask()];
    expect(one.fields.token?.reveal()).not.toBe(other.fields.token?.reveal());
    expect(world.server.scopesOf(one.fields.token?.reveal() ?? '')).toEqual(['notes.read', 'notes.write']);
    expect(world.server.tokenRequests[0]).toMatchObject({ grant_type: 'refresh_token', resource: world.server.url });
    expect(world.server.tokenRequests[0]?.scope).toBeUndefined();
  });

  it('is narrowed to the classes of its task, and the gateway’s own listing to what reads', async () => {
    const scopes = { classes: { read: ['notes.read'], write: ['notes.read', 'notes.write'] }, resources: undefined };
    const narrow = createMcpOauthIssuer(world.setup({ scopes }));
    for (const [actionClasses, expected] of [
      [['read'], ['notes.read']],
      [['write'], ['notes.read', 'notes.write']],
      [[], ['notes.read']],
    ]) {
      const { fields } = await ask(narrow, { actionClasses });
      expect(world.server.scopesOf(fields.token?.reveal() ?? '')).toEqual(expected);
    }
    await expect(ask(narrow, { actionClasses: ['code'] })).rejects.toMatchObject(failure('come to no scope'));
  });

  it('is not asked for with a scope that its owner did not authorise', async () => {
    const scopes = { classes: { read: ['notes.admin'] }, resources: undefined };
    await expect(ask(createMcpOauthIssuer(world.setup({ scopes })))).rejects.toMatchObject(failure('notes.admin'));
    expect(world.server.tokenRequests).toEqual([]);
  });

  it.each([
    [{ scope: 'notes.read notes.write admin' }, '"admin" was not asked for'],
    [{ expires_in: 7_200 }, 'longer than its lease'],
    [{ expires_in: undefined }, 'does not say when it ends'],
  ])(
    'is refused and given back where the server gives %j, and the rotated refresh token is kept',
    async (token, message) => {
      world.server.misdeeds.token = token;
      const live = world.server.liveTokens();
      await expect(ask()).rejects.toMatchObject({
        code: 'ERR_CREDENTIAL_ISSUE',
        message: expect.stringContaining(message),
      });
      expect(world.server.liveTokens()).toBe(live);
      delete world.server.misdeeds.token;
      await expect(ask()).resolves.toBeDefined();
    },
  );

  it('is one of many at once: each refresh token is sent once, and the last one is kept', async () => {
    const reaper = createMcpOauthIssuer(world.setup());
    const issued = await Promise.all(Array.from({ length: 6 }, (_, index) => ask(index % 2 === 0 ? issuer : reaper)));
    expect(new Set(issued.map(({ fields }) => fields.token?.reveal())).size).toBe(6);
    const sent = world.server.tokenRequests.map(({ refresh_token: token }) => token);
    expect(new Set(sent).size).toBe(sent.length);
    expect(kept()?.claim).toBeUndefined();
    await expect(ask()).resolves.toBeDefined();
  });

  describe('what goes wrong on the way costs no refresh token', () => {
    it.each([
      ['a server that is busy', { status: 503, body: { error: 'temporarily_unavailable' } }],
      ['one that has had enough', { status: 429, body: { error: 'slow_down' } }],
      ['one that does not know Remit for the moment', { status: 401, body: { error: 'invalid_client' } }],
      ['an answer that is none', { status: 200, body: {} }],
      ['one that fails, whatever word it fails with', { status: 500, body: { error: 'invalid_grant' } }],
      ['a proxy that says what its server said once', { status: 502, body: { error: 'invalid_grant' } }],
      ['a success that says it is none', { status: 200, body: { error: 'invalid_grant' } }],
      ['a page of somebody else’s', { status: 400, body: { message: 'invalid_grant' } }],
    ])('%s', async (_name, refuseToken) => {
      const token = kept()?.refreshToken?.reveal();
      world.server.misdeeds.refuseToken = refuseToken;
      await expect(ask()).rejects.toMatchObject({ code: 'ERR_CREDENTIAL_ISSUE' });
      expect(kept()).toMatchObject({ ended: undefined, claim: undefined });
      expect(kept()?.refreshToken?.reveal()).toBe(token);
      delete world.server.misdeeds.refuseToken;
      await expect(ask()).resolves.toBeDefined();
    });

    it('a lease that is called off while its token is on the way: the rotated token is kept, the access token is not', async () => {
      const live = world.server.liveTokens();
      const abort = new AbortController();
      const token = kept()?.refreshToken?.reveal();
      const slow = createMcpOauthIssuer(
        world.setup({
          fetch: async (address, init) => {
            const response = await world.setup().fetch(address, init);
            if (address.endsWith('/token')) abort.abort();
            return response;
          },
        }),
      );
      await expect(ask(slow, { signal: abort.signal })).rejects.toMatchObject({ code: 'ERR_CREDENTIAL_ISSUE' });
      await expect.poll(() => world.server.liveTokens()).toBe(live);
      await expect.poll(() => kept()?.claim).toBeUndefined();
      expect(kept()?.refreshToken?.reveal()).not.toBe(token);
      await expect(ask()).resolves.toBeDefined();
    });

    it('a store that does not take the rotated token: it is kept in memory, and stored the next time', async () => {
      const { store } = world;
      let failures = 0;
      const failing = {
        ...store,
        read: () => store.read(),
        async write(...given: Parameters<typeof store.write>) {
          const isRotated = given[0].claim === undefined;
          if (isRotated && failures++ === 0) throw new RemitError('ERR_STORE_UNREACHABLE', 'gone', { hint: 'x' });
          return store.write(...given);
        },
      };
      const careful = createMcpOauthIssuer(world.setup({ store: failing }));
      const live = world.server.liveTokens();
      await expect(ask(careful)).rejects.toMatchObject({ code: 'ERR_STORE_UNREACHABLE' });
      expect(world.server.liveTokens()).toBe(live);
      await expect(ask(careful)).resolves.toBeDefined();
    });

    it('another gateway’s refresh, which is waited for; one that was left behind is taken over', async () => {
      const row = world.store.row;
      if (row === undefined) return expect.unreachable();
      const claimed = (until: number) => ({ ...row.authorization, claim: { by: 'another', until } });
      await world.store.write(claimed(Date.now() + 60_000), row.version);
      const waiting = ask();
      await expect.poll(() => world.server.tokenRequests.length).toBe(0);
      await world.store.write(row.authorization, row.version + 1);
      await expect(waiting).resolves.toBeDefined();
      const after = world.store.row;
      if (after === undefined) return expect.unreachable();
      const left = { ...after.authorization, claim: { by: 'gone', until: Date.now() - 1 } };
      await world.store.write(left, after.version);
      await expect(ask()).resolves.toBeDefined();
    });
  });

  it('ends with its authorization, which only the server’s word ends; it is kept, and never sent again', async () => {
    world.server.misdeeds.refuseToken = { status: 400, body: { error: 'invalid_grant' } };
    await expect(ask()).rejects.toMatchObject(failure('takes the authorization no more'));
    expect(kept()).toMatchObject({ ended: { reason: 'invalid_grant' }, claim: undefined });
    delete world.server.misdeeds.refuseToken;
    const before = world.server.tokenRequests.length;
    await expect(ask()).rejects.toMatchObject(failure('takes the authorization no more'));
    expect(world.server.tokenRequests.length).toBe(before);
    await world.authorize();
    await expect(ask()).resolves.toBeDefined();
  });

  describe('where an answer never came, and the server had used the refresh token up', () => {
    const lost = {
      ...failure('takes the authorization no more'),
      hint: expect.stringContaining('was lost on the way'),
    };

    it('is had all the same within the server’s grace: it is asked once more at once', async () => {
      Object.assign(world.server.misdeeds, { refuseToken: 'drop_once', hasGrace: true });
      await expect(ask()).resolves.toBeDefined();
      expect(world.server.tokenRequests).toHaveLength(2);
      expect(kept()).toMatchObject({ ended: undefined, claim: undefined, unanswered: undefined });
      await expect(ask()).resolves.toBeDefined();
    });

    it('is over without one, and its owner is told why', async () => {
      world.server.misdeeds.refuseToken = 'drop_once';
      await expect(ask()).rejects.toMatchObject(lost);
      expect(kept()).toMatchObject({ ended: { reason: 'invalid_grant after an answer was lost' }, claim: undefined });
      await expect(ask()).rejects.toMatchObject(lost);
    });

    it('is not over before the server says so: what is not known is kept as not known', async () => {
      const deaf = createMcpOauthIssuer(
        world.setup({
          fetch: async (address, init) => {
            const response = await world.setup().fetch(address, init);
            if (address.endsWith('/token')) throw new Error('the connection broke');
            return response;
          },
          clock: (() => {
            let now = Date.now();
            // A server that was waited for is not asked again at once.
            return () => (now += 5_000);
          })(),
        }),
      );
      await expect(ask(deaf, { expiresAt: Date.now() + 600_000 })).rejects.toMatchObject(
        failure('the connection broke'),
      );
      expect(kept()).toMatchObject({ ended: undefined, claim: undefined, unanswered: { at: expect.any(Number) } });
      await expect(ask()).rejects.toMatchObject(lost);
    });

    it.each(['ECONNREFUSED', 'ENOTFOUND'])(
      'knows that nothing was sent where there was no connection: %s',
      async (code) => {
        const cut = createMcpOauthIssuer(
          world.setup({
            fetch: (address, init) =>
              address.endsWith('/token')
                ? Promise.reject(new TypeError('fetch failed', { cause: Object.assign(new Error(code), { code }) }))
                : world.setup().fetch(address, init),
          }),
        );
        await expect(ask(cut)).rejects.toMatchObject({ code: 'ERR_CREDENTIAL_ISSUE' });
        expect(kept()).toMatchObject({ ended: undefined, claim: undefined, unanswered: undefined });
      },
    );
  });

  describe('of a process that was stopped past its claim', () => {
    /** Its answer comes when told. */
    async function stopped() {
      let answer = (): void => {};
      world.server.misdeeds.holdToken = new Promise<void>((resolve) => {
        answer = resolve;
      });
      const slow = createMcpOauthIssuer(world.setup({ claimMs: 1 }));
      world.server.tokenRequests.length = 0;
      const late = ask(slow);
      await expect.poll(() => world.server.tokenRequests.length).toBe(1);
      delete world.server.misdeeds.holdToken;
      await expect.poll(() => (kept()?.claim?.until ?? Number.POSITIVE_INFINITY) < Date.now()).toBe(true);
      return { late, answer };
    }

    it('the late answer is stored over what another found out with the used-up token, and brings it back', async () => {
      const { late, answer } = await stopped();
      await expect(ask()).rejects.toMatchObject(failure('takes the authorization no more'));
      expect(kept()?.ended).toMatchObject({ reason: 'invalid_grant after an answer was lost' });
      answer();
      await expect(late).resolves.toBeDefined();
      expect(kept()).toMatchObject({ ended: undefined, claim: undefined });
      await expect(ask()).resolves.toBeDefined();
    });

    it('the late answer does not undo what its owner took away, nor what was authorised anew', async () => {
      const { late, answer } = await stopped();
      await world.authorize();
      const anew = kept()?.refreshToken?.reveal();
      answer();
      await expect(late).rejects.toMatchObject({ code: 'ERR_STORE_LOCKED' });
      expect(kept()?.refreshToken?.reveal()).toBe(anew);
      const again = await stopped();
      const row = world.store.row;
      if (row === undefined) return expect.unreachable();
      const ended = { at: Date.now(), reason: 'taken_away' };
      await world.store.write({ ...row.authorization, claim: undefined, ended }, row.version);
      again.answer();
      await expect(again.late).rejects.toMatchObject({ code: 'ERR_STORE_LOCKED' });
      expect(kept()?.ended).toEqual(ended);
    });
  });

  it('stores by itself what the store did not take, while the process lives, and when it stops', async () => {
    for (const isClosed of [false, true]) {
      const timers: (() => void)[] = [];
      let isDown = false;
      const { store } = world;
      const failing = {
        ...store,
        read: () => store.read(),
        write: (...given: Parameters<typeof store.write>) =>
          isDown && given[0].claim === undefined
            ? Promise.reject(new RemitError('ERR_STORE_UNREACHABLE', 'gone', { hint: 'x' }))
            : store.write(...given),
      };
      const schedule = (_ms: number, task: () => void) => {
        timers.push(task);
        return () => void timers.splice(timers.indexOf(task), 1);
      };
      const careful = createMcpOauthIssuer(world.setup({ store: failing, schedule }));
      const before = kept()?.refreshToken?.reveal();
      isDown = true;
      await expect(ask(careful)).rejects.toMatchObject({ code: 'ERR_STORE_UNREACHABLE' });
      // What is in memory alone is not shown to anybody: not even the next lease gets one.
      await expect(ask(careful)).rejects.toMatchObject({ code: 'ERR_STORE_UNREACHABLE' });
      isDown = false;
      if (isClosed) await careful.close();
      else timers[0]?.();
      await expect.poll(() => kept()?.refreshToken?.reveal()).not.toBe(before);
      await expect(ask()).resolves.toBeDefined();
    }
  });

  it('is had by a gateway that needs one while another needs many', async () => {
    world.server.misdeeds.slowMs = 60;
    const other = createMcpOauthIssuer(world.setup());
    let made = 0;
    const deadline = { signal: AbortSignal.timeout(60_000), expiresAt: Date.now() + 120_000 };
    const many = Array.from({ length: 40 }, () => ask(issuer, deadline).then(() => made++));
    await expect.poll(() => made).toBeGreaterThan(2);
    await ask(other, deadline);
    const madeBefore = made;
    await Promise.all(many);
    expect(madeBefore).toBeLessThan(35);
    const sent = world.server.tokenRequests.map(({ refresh_token: token }) => token);
    expect(new Set(sent).size).toBe(sent.length);
  }, 60_000);

  it('waits for the refresh that is under way when its gateway stops, and begins no other', async () => {
    const token = kept()?.refreshToken?.reveal();
    let answer = (): void => {};
    world.server.misdeeds.holdToken = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const [under, next] = [ask(), ask()];
    const refused = expect(next).rejects.toMatchObject(failure('stopping'));
    await expect.poll(() => world.server.tokenRequests.length).toBe(1);
    const closing = issuer.close();
    answer();
    await closing;
    expect(kept()?.refreshToken?.reveal()).not.toBe(token);
    await expect(under).resolves.toBeDefined();
    await refused;
    expect(world.server.tokenRequests).toHaveLength(1);
  });

  it('is not to be had where nobody authorised', async () => {
    world.store.row = undefined;
    await expect(ask()).rejects.toMatchObject(failure('nobody has authorised'));
  });

  it('L7 claims nothing before it knows what the server can revoke', async () => {
    expect(issuer.revocation).toBe('expiry_only');
    await ask();
    expect(issuer.revocation).toBe('next_use');
    expect(createMcpOauthIssuer(world.setup({ isIntrospected: false })).revocation).toBe('expiry_only');
  });

  it('L4 is revoked by a handle of an earlier Remit, which names no client', async () => {
    const lease = newLease(issuer);
    const { handle, fields } = await issuer.issue(requestFor(lease, AbortSignal.timeout(10_000)));
    const [at, token] = handle?.reveal().split(' ') ?? [];
    await issuer.revoke(lease, new Secret(`${at} ${token}`));
    expect(world.server.admits(fields.token?.reveal() ?? '')).toBe(false);
  });

  it('L4 is not taken for revoked where the server does not say so, nor where nobody knows any more who Remit was there', async () => {
    await ask();
    const lease = newLease(issuer);
    const { handle, nativeExpiresAt } = await issuer.issue(requestFor(lease, AbortSignal.timeout(10_000)));
    world.server.misdeeds.refuseRevocation = true;
    await expect(issuer.revoke(lease, handle)).rejects.toMatchObject({ code: 'ERR_CREDENTIAL_REVOKE' });
    // Where the token is over by itself there is nothing left to ask for.
    await expect(issuer.revoke({ ...lease, nativeExpiresAt: Date.now() - 1 }, handle)).resolves.toBeUndefined();
    delete world.server.misdeeds.refuseRevocation;
    const { row } = world.store;
    if (row === undefined) return expect.unreachable('it was authorised');
    const { authorization } = row;
    const another = { ...authorization, identity: { ...authorization.identity, id: 'another client' } };
    world.store.row = { ...row, authorization: another };
    await expect(issuer.revoke({ ...lease, nativeExpiresAt }, handle)).rejects.toMatchObject({
      message: expect.stringContaining('the authorization that it came from is gone'),
    });
    world.store.row = undefined;
    await expect(issuer.revoke({ ...lease, nativeExpiresAt }, handle)).rejects.toMatchObject({
      code: 'ERR_CREDENTIAL_REVOKE',
    });
    await expect(issuer.revoke({ ...lease, nativeExpiresAt: Date.now() - 1 }, handle)).resolves.toBeUndefined();
  });

  describe('of a token that all leases share', () => {
    beforeEach(async () => {
      world.server.misdeeds.token = { refresh_token: undefined };
      await world.authorize({ sharedTokenUntil: Date.now() + 60_000 });
    });
    const shared = (changes: Partial<AuthorizerSetup> = {}) =>
      createMcpOauthIssuer(world.setup({ sharedTokenUntil: Date.now() + 60_000, ...changes }));

    it('L7 is never called revoked, and has no handle that could revoke it', async () => {
      const one = shared();
      const [first, second] = [await ask(one), await ask(one)];
      expect(first.fields.token?.reveal()).toBe(second.fields.token?.reveal());
      expect(first.handle).toBeUndefined();
      expect(first.scope).toContain('shared by all leases');
      expect(one.revocation).toBe('expiry_only');
      await one.revoke(newLease(one), first.handle);
      expect(world.server.admits(second.fields.token?.reveal() ?? '')).toBe(true);
    });

    it('L2 is not to be had without the exception, nor when that or the token is over', async () => {
      await expect(ask(shared({ sharedTokenUntil: undefined }))).rejects.toMatchObject(failure('exception'));
      await expect(ask(shared({ sharedTokenUntil: Date.now() - 1 }))).rejects.toMatchObject(failure('exception'));
      const later = () => Date.now() + 120_000;
      await expect(ask(shared({ clock: later, sharedTokenUntil: later() + 1_000 }))).rejects.toMatchObject(
        failure('is over'),
      );
    });

    it('L3 is not to be had for a lease that it outlives', async () => {
      await expect(ask(shared(), { expiresAt: Date.now() + 1_000 })).rejects.toMatchObject(
        failure('outlives its lease'),
      );
    });
  });
});
