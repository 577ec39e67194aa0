import { randomBytes } from 'node:crypto';
import { userInfo } from 'node:os';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { authorizationName, createAuthorizationStore } from '../../src/compose/credentials/authorization-store.ts';
import {
  buildConnectorAuthorizations,
  type ConnectorAuthorizations,
} from '../../src/compose/credentials/connector-authorizations.ts';
import { keepStateKey } from '../../src/compose/credentials/state-key.ts';
import { configSchema } from '../../src/config/schema.ts';
import { RemitError } from '../../src/domain/errors.ts';
import { connectorId, leaseId, tenantId } from '../../src/domain/ids.ts';
import type { Lease } from '../../src/domain/lease.ts';
import { Secret } from '../../src/domain/secret.ts';
import type { TaskKeyRepository } from '../../src/seams/store.ts';
import { createVault, type Vault } from '../../src/secrets/vault.ts';
import { createMemoryOAuth } from '../support/fake-memory-repositories.ts';
import {
  createFakeMemorySecretRepository,
  type FakeMemorySecretRepository,
} from '../support/fake-memory-secret-repository.ts';
import { type FakeOauthServer, startFakeOauthServer } from '../support/fake-oauth-server.ts';
import { localKey, never, ringOf } from '../support/key-rings.ts';

const NOTES = connectorId('notes');

describe('authorizations of connectors', () => {
  let server: FakeOauthServer;
  let rows: FakeMemorySecretRepository;
  let vault: Vault;
  let now: number;
  /** Everything that happened, in order. */
  let steps: string[];
  let isTrailFull: boolean;
  /** What an attempt at revoking the leases comes to. */
  let leases: Partial<Lease>[];
  /** Rows of what waits for browsers, and the key that they are sealed under: what all nodes have. */
  let pending: ReturnType<typeof createMemoryOAuth>;
  let stateKey: Awaited<ReturnType<TaskKeyRepository['get']>>;
  const closers: (() => unknown)[] = [];
  const kept = (): string => (rows.rows.length > 0 ? 'kept' : 'nothing kept');
  beforeAll(async () => {
    server = await startFakeOauthServer();
  });
  beforeEach(() => {
    now = Date.now();
    steps = [];
    isTrailFull = false;
    leases = [];
    pending = createMemoryOAuth();
    stateKey = undefined;
    server.asked.length = 0;
    server.registrations.length = 0;
    rows = createFakeMemorySecretRepository();
    const parts = { tenant: tenantId('default'), clock: () => now, schedule: never, random: randomBytes };
    vault = createVault({ ...parts, repository: rows, keys: ringOf(localKey(randomBytes(32))) });
  });
  afterAll(async () => {
    for (const close of closers) await close();
    await server.close();
  });

  const taskKeys = {
    get: async () => stateKey,
    insert: async (key: NonNullable<typeof stateKey>) => {
      stateKey = key;
    },
  };

  /** A node of them. */
  async function build(
    more: object = {},
    url = 'http://127.0.0.1:4321',
    kind: 'mcpOauth' | 'oauthRefresh' = 'mcpOauth',
  ): Promise<ConnectorAuthorizations> {
    const { connectors } = configSchema.parse({
      version: 1,
      connectors: {
        notes: { owner: 'dana', transport: { http: { url: server.url } }, credential: { [kind]: more } },
        other: { owner: 'dana', transport: { http: { url: 'https://other.example/mcp' } } },
      },
    });
    const estate = {
      tenant: tenantId('default'),
      connectors: new Map(Object.entries(connectors).map(([id, config]) => [id, { id, config }])),
    };
    const log = { info() {}, warn() {}, error() {}, debug() {} };
    const built = await buildConnectorAuthorizations({
      workspace: {
        estate,
        vault,
        store: { oauth: pending },
        stateKey: keepStateKey({
          tenant: estate.tenant,
          repository: taskKeys as never,
          vault,
          random: randomBytes,
          clock: () => now,
        }),
        system: { clock: () => now, schedule: never, random: randomBytes, log },
      } as never,
      tokens: {} as never,
      url,
      recorder: {
        record: async ({ detail }) => {
          const { action } = detail as { action: string };
          steps.push(`${action} after ${server.asked.length}, ${kept()}`);
          if (isTrailFull) throw new RemitError('ERR_JOURNAL_FULL', 'full');
          return 1;
        },
      },
      recordRefusal: ({ reason }) => void steps.push(`refused: ${reason}`),
      leases: {
        revokeConnector: async () => {
          steps.push(`leases revoked, ${kept()}`);
          return leases as Lease[];
        },
        dropConnector: async () => {
          steps.push(`own leases dropped, ${kept()}`);
          return [];
        },
      },
      catalogue: {
        refresh: async () => {
          steps.push('listed');
          return [];
        },
      },
      closers,
    });
    return built ?? expect.unreachable();
  }

  const answerOf = async (begun: { url: string }): Promise<URLSearchParams> => server.open(begun.url);

  it('puts each step on the trail before it is taken', async () => {
    const all = await build();
    const { status } = await all.answer(await answerOf(await all.begin('notes', [])));
    expect(status).toBe(200);
    // Probe, resource, server, registration; the browser; the code.
    expect(steps).toEqual([
      'connector_authorize after 0, nothing kept',
      'connector_authorization_answered after 5, nothing kept',
      'connector_authorized after 6, nothing kept',
      'leases revoked, nothing kept',
      'own leases dropped, kept',
      'listed',
    ]);
  });

  it('A3 does nothing that the trail does not take', async () => {
    const all = await build();
    isTrailFull = true;
    await expect(all.begin('notes', [])).rejects.toMatchObject({ code: 'ERR_JOURNAL_FULL' });
    expect(server.asked).toEqual([]);
    isTrailFull = false;
    const query = await answerOf(await all.begin('notes', []));
    isTrailFull = true;
    const before = server.asked.length;
    expect((await all.answer(query)).status).toBe(400);
    expect(server.asked.length).toBe(before);
    expect(rows.rows).toEqual([]);
  });

  it('takes an answer once, within ten minutes, and only the one to what was asked last', async () => {
    const all = await build();
    const first = await answerOf(await all.begin('notes', []));
    const second = await answerOf(await all.begin('notes', []));
    const requests = server.tokenRequests.length;
    expect((await all.answer(first)).status).toBe(400);
    const results = await Promise.all([all.answer(second), all.answer(second)]);
    expect(results.map(({ status }) => status).sort()).toEqual([200, 400]);
    const late = await answerOf(await all.begin('notes', []));
    now += 600_001;
    expect((await all.answer(late)).status).toBe(400);
    expect(server.tokenRequests.length).toBe(requests + 1);
    expect(steps.filter((step) => step.startsWith('refused'))).toHaveLength(3);
  });

  it('knows no connector that is not authorised at', async () => {
    const all = await build();
    for (const id of ['other', 'absent'])
      await expect(all.begin(id, [])).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' });
    await expect(all.end('notes')).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' });
  });

  it('L6 keeps it sealed, under a name that no person can use', async () => {
    const all = await build();
    await all.answer(await answerOf(await all.begin('notes', [])));
    const store = createAuthorizationStore(vault, NOTES);
    const token = (await store.read())?.authorization.refreshToken?.reveal() ?? expect.unreachable();
    expect(token).toMatch(/^canary-refresh/);
    expect(rows.rows[0]?.name).toBe(authorizationName(NOTES));
    expect(rows.rows[0]?.envelope.includes(token)).toBe(false);
    const name = authorizationName(NOTES);
    expect(() =>
      configSchema.parse({
        version: 1,
        connectors: {
          a: {
            owner: 'x',
            transport: { http: { url: server.url } },
            credential: { oauth: { server: 'https://a.example', clientId: 'a', clientSecret: name, scopes: {} } },
          },
        },
      }),
    ).toThrow();
    expect(JSON.stringify(await all.list())).not.toContain('canary');
  });

  it('shows a refresh token that is stored, takes it away, and asks no browser for it', async () => {
    const more = {
      server: server.issuer,
      clientId: 'by-hand',
      clientSecret: 'client',
      refreshToken: 'kept',
      scopes: {},
    };
    const all = await build(more, undefined, 'oauthRefresh');
    expect(await all.list()).toEqual([{ connector: 'notes', state: 'missing' }]);
    await expect(all.begin('notes', [])).rejects.toMatchObject({
      code: 'ERR_AUTHORIZATION_REFUSED',
      hint: expect.stringContaining('remit secret put kept'),
    });
    expect(steps).toEqual([]);
    await vault.put('client', new Secret('canary-by-hand-secret-5512'));
    const token = server.mintRefreshToken('notes.read');
    await vault.put('kept', new Secret(token));
    const live = server.liveRefreshTokens();
    expect(await all.list()).toMatchObject([
      { state: 'authorized', issuer: server.issuer, authorizedBy: 'secret kept' },
    ]);
    expect(await all.end('notes')).toEqual({ revoked: true });
    expect(server.liveRefreshTokens()).toBe(live - 1);
    expect(await all.list()).toMatchObject([{ state: 'ended' }]);
  });

  it('ends with what was leased of it first, then at its server, then here', async () => {
    const all = await build();
    await all.answer(await answerOf(await all.begin('notes', [])));
    steps.length = 0;
    server.misdeeds.refuseRevocation = true;
    await expect(all.end('notes')).rejects.toMatchObject({ code: 'ERR_CREDENTIAL_REVOKE' });
    delete server.misdeeds.refuseRevocation;
    expect(await all.list()).toMatchObject([{ state: 'ended' }]);
    expect(await all.end('notes')).toEqual({ revoked: true });
    expect(rows.rows).toEqual([]);
    expect(steps.filter((step) => step.startsWith('leases'))).toEqual(['leases revoked, kept', 'leases revoked, kept']);
  });

  it('L4 is kept, revoked, until no lease of it may be good any more: without it nobody could revoke one', async () => {
    const all = await build();
    await all.answer(await answerOf(await all.begin('notes', [])));
    const live = server.liveRefreshTokens();
    const id = leaseId('lse_000000000000000000000001');
    leases = [{ state: 'ended' }, { id, state: 'revoking', lastError: 'the server is away' }, { state: 'lapsing' }];
    await expect(all.end('notes')).rejects.toMatchObject({
      code: 'ERR_CREDENTIAL_REVOKE',
      message: `1 of its leases may still be good there: ${id}: the server is away`,
    });
    expect(server.liveRefreshTokens()).toBe(live - 1);
    expect(await all.list()).toMatchObject([{ state: 'ended' }]);
    leases = [];
    expect(await all.end('notes')).toEqual({ revoked: true });
    expect(rows.rows).toEqual([]);
  });

  it('is not there again by an answer that was on its way', async () => {
    const all = await build();
    await all.answer(await answerOf(await all.begin('notes', [])));
    const late = await answerOf(await all.begin('notes', []));
    await all.end('notes');
    expect((await all.answer(late)).status).toBe(400);
    expect(await all.list()).toMatchObject([{ state: 'missing' }]);
  });

  describe('at several nodes of a store', () => {
    const granted = async () => (await createAuthorizationStore(vault, NOTES).read())?.authorization;

    it('an answer is taken at any, and after a restart, with what was begun', async () => {
      const url = (await (await build()).begin('notes', ['notes.read'])).url;
      const requests = server.tokenRequests.length;
      const { status, text } = await (await build()).answer(await server.open(url));
      expect({ status, text }).toEqual({
        status: 200,
        text: `notes is authorised at ${server.issuer} with notes.read. It has 0 tools. You may close this window.`,
      });
      // The client that was registered where it began, with its secret: this server takes no other for the code.
      expect(server.registrations).toHaveLength(1);
      expect(server.tokenRequests.slice(requests)).toMatchObject([{ authorization: expect.stringMatching(/^Basic /) }]);
      expect(await granted()).toMatchObject({ authorizedBy: userInfo().username, scopes: ['notes.read'] });
      expect(pending.rows.size).toBe(0);
    });

    it('is taken once, by one of those that are asked at once', async () => {
      const nodes = [await build(), await build(), await build()];
      const query = await answerOf(await (nodes[0] as ConnectorAuthorizations).begin('notes', []));
      const requests = server.tokenRequests.length;
      const results = await Promise.all(nodes.map((node) => node.answer(query)));
      expect(results.map(({ status }) => status).sort()).toEqual([200, 400, 400]);
      expect((await (nodes[1] as ConnectorAuthorizations).answer(query)).status).toBe(400);
      expect(server.tokenRequests.length).toBe(requests + 1);
      expect(steps.filter((step) => step === 'refused: no authorization waits for this answer')).toHaveLength(3);
    });

    it('is replaced by one that is begun elsewhere, and taken away by who ends it elsewhere', async () => {
      const [here, there] = [await build(), await build()];
      const first = await answerOf(await here.begin('notes', []));
      const second = await answerOf(await there.begin('notes', []));
      expect((await here.answer(first)).status).toBe(400);
      expect((await here.answer(second)).status).toBe(200);
      const late = await answerOf(await here.begin('notes', []));
      await there.end('notes');
      expect((await here.answer(late)).status).toBe(400);
      const last = await answerOf(await here.begin('notes', []));
      await expect(there.end('notes')).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' });
      expect((await here.answer(last)).status).toBe(400);
    });

    it('is none where the connector is configured otherwise', async () => {
      const query = await answerOf(await (await build()).begin('notes', []));
      const requests = server.tokenRequests.length;
      expect((await (await build({ server: 'https://other.example' })).answer(query)).status).toBe(400);
      expect(server.tokenRequests.length).toBe(requests);
      expect(await granted()).toBeUndefined();
    });

    it('A3 sends no code while the store cannot be asked, says so, and takes the same answer afterwards', async () => {
      const all = await build();
      const query = await answerOf(await all.begin('notes', []));
      const [asked, findByUid, takeByUid] = [server.asked.length, pending.findByUid, pending.takeByUid];
      const gone = () => Promise.reject(new RemitError('ERR_STORE_UNREACHABLE', 'gone at db.internal'));
      for (const part of ['findByUid', 'takeByUid'] as const) {
        Object.assign(pending, { findByUid, takeByUid, [part]: gone });
        const { status, text } = await all.answer(query);
        expect(status).toBe(503);
        expect(text).toContain('the store cannot be asked');
        expect(text).not.toContain('db.internal');
      }
      expect(server.asked.length).toBe(asked);
      expect(steps.slice(1)).toEqual(
        Array(2).fill('refused: whether an authorization waits for this answer is not known'),
      );
      Object.assign(pending, { findByUid, takeByUid });
      expect((await all.answer(query)).status).toBe(200);
    });

    it('A3 nothing is begun that the store does not take, and nothing ended', async () => {
      const all = await build();
      await all.answer(await answerOf(await all.begin('notes', [])));
      const gone = () => Promise.reject(new RemitError('ERR_STORE_UNREACHABLE', 'gone'));
      Object.assign(pending, { upsert: gone, destroy: gone });
      await expect(all.begin('notes', [])).rejects.toMatchObject({ code: 'ERR_STORE_UNREACHABLE' });
      expect(steps.at(-1)).toContain('connector_authorization_refused');
      await expect(all.end('notes')).rejects.toMatchObject({ code: 'ERR_STORE_UNREACHABLE' });
      expect(await all.list()).toMatchObject([{ state: 'authorized' }]);
    });

    it('L6 tells who reads the store nothing, and takes nothing from who writes it without the vault’s key', async () => {
      const all = await build();
      const rowNow = () => [...pending.rows][0] as unknown as [string, { payload: { uid: string; sealed: string } }];
      await all.begin('notes', []);
      const older = rowNow()[1].payload.sealed;
      const key = stateKey;
      stateKey = undefined;
      await (await build()).begin('notes', []);
      const ofAnotherKey = rowNow()[1].payload.sealed;
      stateKey = key;
      const begun = await all.begin('notes', []);
      const state = new URL(begun.url).searchParams.get('state') ?? expect.unreachable();
      const text = JSON.stringify([...pending.rows]);
      expect(text).toContain('sealed');
      for (const secret of [state, userInfo().username, server.issuer, 'canary', 'verifier'])
        expect(text).not.toContain(secret);

      const query = await server.open(begun.url);
      const requests = server.tokenRequests.length;
      const [id, { payload }] = rowNow();
      const write = (at: string, written: object) => {
        pending.rows.clear();
        pending.rows.set(at, { payload: written, expiresAt: undefined, consumedAt: undefined });
      };
      const forged: [string, object][] = [
        [id, { ...payload, sealed: ofAnotherKey }],
        [id, { ...payload, sealed: older }],
        [id, { ...payload, sealed: `${payload.sealed.slice(0, -4)}AAAA` }],
        [id, { uid: payload.uid, by: 'mallory' }],
        ['connector_authorization:of-another-connector', payload],
      ];
      for (const [at, written] of forged) {
        write(at, written);
        const { status, text } = await all.answer(query);
        expect([status, text], JSON.stringify([at, written])).toEqual([
          400,
          expect.stringContaining('No authorization waits'),
        ]);
      }
      expect(server.tokenRequests.length).toBe(requests);
      // Older than ten minutes, whatever the row says of that.
      write(id, payload);
      now += 600_001;
      expect((await all.answer(query)).status).toBe(400);
      now -= 600_001;
      write(id, payload);
      expect((await all.answer(query)).status, 'as it was').toBe(200);
    });

    it('changes nothing in the store for a wrong state', async () => {
      const all = await build();
      await all.begin('notes', []);
      pending.takeByUid = () => expect.unreachable();
      for (const state of ['', 'made-up', 'x'.repeat(43), 'x'.repeat(10_000)])
        expect((await all.answer(new URLSearchParams({ state, code: 'x' }))).status).toBe(400);
      expect((await all.answer(new URLSearchParams({ code: 'x' }))).status).toBe(400);
      expect(pending.rows.size).toBe(1);
    });

    it('what another was authorised for is missing no more, and what is missing since is', async () => {
      const [here, there] = [await build(), await build()];
      server.misdeeds.challenge = 'Bearer scope="notes.read"';
      try {
        await here.answer(await answerOf(await here.begin('notes', [])));
        const missing = 'Bearer error="insufficient_scope", scope="notes.write"';
        now += 1;
        here.noteChallenge(NOTES, 403, missing);
        expect(await here.list()).toMatchObject([{ missing: ['notes.write'] }]);
        now += 1;
        const begun = await here.begin('notes', []);
        expect(begun.scopes).toEqual(['notes.read', 'notes.write']);
        expect((await there.answer(await answerOf(begun))).status).toBe(200);
        expect((await here.list())[0]).not.toHaveProperty('missing');
        expect((await here.begin('notes', [])).scopes).toEqual(['notes.read']);
        now += 1;
        here.noteChallenge(NOTES, 403, missing);
        await expect(here.begin('notes', [])).rejects.toMatchObject({ code: 'ERR_AUTHORIZATION_REFUSED' });
      } finally {
        delete server.misdeeds.challenge;
      }
    });
  });

  it('says who Remit is where its address is https, and has no document to show elsewhere', async () => {
    expect((await build()).document()).toBeUndefined();
    const shown = (await build({}, 'https://remit.shop.example')).document();
    expect(shown).toMatchObject({
      client_id: 'https://remit.shop.example/oauth/connector/client.json',
      redirect_uris: ['https://remit.shop.example/oauth/connector/callback'],
      grant_types: ['authorization_code', 'refresh_token'],
      token_endpoint_auth_method: 'none',
      application_type: 'web',
    });
  });
});
