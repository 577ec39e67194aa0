import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { authorizationName, createAuthorizationStore } from '../../src/compose/credentials/authorization-store.ts';
import {
  buildConnectorAuthorizations,
  type ConnectorAuthorizations,
} from '../../src/compose/credentials/connector-authorizations.ts';
import { configSchema } from '../../src/config/schema.ts';
import { RemitError } from '../../src/domain/errors.ts';
import { connectorId, tenantId } from '../../src/domain/ids.ts';
import { Secret } from '../../src/domain/secret.ts';
import { createVault, type Vault } from '../../src/secrets/vault.ts';
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
  const closers: (() => unknown)[] = [];
  const kept = (): string => (rows.rows.length > 0 ? 'kept' : 'nothing kept');
  beforeAll(async () => {
    server = await startFakeOauthServer();
  });
  beforeEach(() => {
    now = Date.now();
    steps = [];
    isTrailFull = false;
    server.asked.length = 0;
    rows = createFakeMemorySecretRepository();
    const parts = { tenant: tenantId('default'), clock: () => now, schedule: never, random: randomBytes };
    vault = createVault({ ...parts, repository: rows, keys: ringOf(localKey(randomBytes(32))) });
  });
  afterAll(async () => {
    for (const close of closers) await close();
    await server.close();
  });

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
    const estate = { connectors: new Map(Object.entries(connectors).map(([id, config]) => [id, { id, config }])) };
    const log = { info() {}, warn() {}, error() {}, debug() {} };
    const built = await buildConnectorAuthorizations({
      workspace: { estate, vault, system: { clock: () => now, schedule: never, random: randomBytes, log } } as never,
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
      'leases revoked, kept',
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

  it('is not there again by an answer that was on its way', async () => {
    const all = await build();
    await all.answer(await answerOf(await all.begin('notes', [])));
    const late = await answerOf(await all.begin('notes', []));
    await all.end('notes');
    expect((await all.answer(late)).status).toBe(400);
    expect(await all.list()).toMatchObject([{ state: 'missing' }]);
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
