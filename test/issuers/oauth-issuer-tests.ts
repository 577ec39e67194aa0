import { once } from 'node:events';
import { createServer } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createOauthIssuer, type OauthIssuerOptions } from '../../src/adapters/issuers/oauth-issuer.ts';
import { agentId } from '../../src/domain/ids.ts';
import { Secret } from '../../src/domain/secret.ts';
import type { Issuer } from '../../src/seams/issuer.ts';
import { issuerSuite, newLease, requestFor } from '../suites/issuer-suite.ts';
import { type FakeForeignAs, type Misdeed, startFakeForeignAs } from '../support/fake-foreign-as.ts';
import { createSigningGateway, type SigningGateway } from './signing-gateway.ts';

const CLIENT_SECRET = 'canary-oauth-client-77aa01';
const RESOURCE = 'https://crm.example.com/mcp';

export interface OauthWorld {
  readonly server: FakeForeignAs;
  readonly gateway: SigningGateway;
  options(more?: Partial<OauthIssuerOptions>): OauthIssuerOptions;
}

export async function startOauthWorld(more: { canRevoke?: boolean } = {}): Promise<OauthWorld> {
  const gateway = await createSigningGateway();
  const server = await startFakeForeignAs({
    clientSecret: CLIENT_SECRET,
    assertionKeys: gateway.keys,
    gateway: gateway.url,
    clientKeys: gateway.publicKeys,
    scopes: ['contacts.read', 'contacts.write', 'deals.read', 'admin'],
    ...more,
  });
  return {
    server,
    gateway,
    options: (changes = {}) => ({
      server: server.issuer,
      clientId: 'remit',
      clientSecret: async () => new Secret(CLIENT_SECRET),
      clientKey: () => gateway.clientKey(),
      fetch: (address, init) => fetch(address, init),
      grant: 'token_exchange',
      scopes: {
        classes: { read: ['contacts.read', 'deals.read'], write: ['contacts.read', 'contacts.write'] },
        resources: { 'contacts/*': ['contacts.read', 'contacts.write'], deals: ['deals.read'] },
      },
      audience: undefined,
      resource: RESOURCE,
      tokenSeconds: 0,
      isIntrospected: true,
      sign: gateway.sign,
      close: async () => {},
      clock: Date.now,
      ...changes,
    }),
  };
}

async function closedPort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as { port: number };
  probe.close();
  await once(probe, 'close');
  return port;
}

/** What holds of the OAuth issuer against a real oidc-provider. */
export function oauthIssuerTests(): void {
  for (const [name, canRevoke, isIntrospected] of [
    ['introspected tokens', true, true],
    ['tokens that are verified by their signature', true, false],
    ['a server that revokes nothing', false, true],
  ] as const) {
    issuerSuite(`oauth, ${name}`, async () => {
      const { server, options } = await startOauthWorld({ canRevoke });
      const issuer = createOauthIssuer(options({ isIntrospected }));
      // The server's metadata decide the class: a gateway lists its connectors at the start, and has read them then.
      const first = newLease(issuer);
      await issuer.issue(requestFor(first, AbortSignal.timeout(10_000)));
      return {
        issuer,
        other: () => createOauthIssuer(options({ isIntrospected })),
        clock: Date.now,
        resources: ['contacts/42'],
        actionClasses: ['read'],
        async canUse({ token }) {
          const text = token?.reveal() ?? '';
          // A connector that verifies signatures does not hear of a revocation.
          return isIntrospected ? (await server.introspect(text)).active : server.gave(text);
        },
        exists: undefined,
        broken: [
          createOauthIssuer(options({ server: `http://127.0.0.1:${await closedPort()}` })),
          createOauthIssuer(options({ clientSecret: async () => new Secret('canary-wrong-client-31') })),
          createOauthIssuer(options({ sign: () => Promise.reject(new Error('no key')) })),
          createOauthIssuer(options({ scopes: { classes: {}, resources: undefined } })),
          createOauthIssuer(options({ resource: 'https://other.example.com/' })),
        ],
        secrets: [CLIENT_SECRET, 'canary-wrong-client-31'],
        stop: () => server.close(),
      };
    });
  }

  describe('a leased token of a foreign authorization server', () => {
    let world: OauthWorld;
    let issuer: Issuer;
    beforeAll(async () => {
      world = await startOauthWorld();
      issuer = createOauthIssuer(world.options());
    });
    afterEach(() => {
      world.server.misdeed = undefined;
    });
    afterAll(() => world.server.close());

    const ask = (more: object = {}) => {
      const lease = newLease(issuer);
      const request = requestFor(lease, AbortSignal.timeout(10_000));
      return { lease, request: { ...request, resources: ['contacts/42'], actionClasses: ['read' as const], ...more } };
    };

    it('R53 is exchanged for an assertion about agent, user, task and lease, that only this server can use', async () => {
      const user = { issuer: 'https://idp.example.com', subject: 'ada', groups: ['sales'] };
      const { lease, request } = ask({ agent: agentId('seller'), user });
      await issuer.issue(request);
      const { claims, asked } = world.server.exchanged.at(-1) ?? {};
      expect(claims).toMatchObject({
        iss: world.gateway.url,
        aud: world.server.issuer,
        sub: 'ada',
        act: { sub: 'seller' },
        user: { iss: 'https://idp.example.com' },
        task: lease.task,
        jti: lease.tag,
        resources: ['contacts/42'],
      });
      expect(Number(claims?.exp) * 1000).toBeLessThanOrEqual(lease.expiresAt);
      expect(asked).toMatchObject({ scope: 'contacts.read', resource: RESOURCE });
    });

    it('has the scopes that its classes and its resources have in common', async () => {
      const { request } = ask({ resources: ['contacts/42'], actionClasses: ['read', 'write'] });
      const { fields, scope } = await issuer.issue(request);
      expect(scope).toBe(`contacts.read contacts.write at ${RESOURCE}`);
      const seen = await world.server.introspect(fields.token?.reveal() ?? '');
      expect(seen).toMatchObject({ active: true, scope: 'contacts.read contacts.write' });
    });

    it('for the gateway’s own discovery has no scope', async () => {
      const { fields } = await issuer.issue(ask({ resources: [], actionClasses: [] }).request);
      expect((await world.server.introspect(fields.token?.reveal() ?? '')).scope ?? '').toBe('');
    });

    it.each([
      [{ resources: ['invoices/1'] }, 'no scope in common'],
      [{ resources: [] }, 'no scope in common'],
      [{ actionClasses: ['code' as const] }, 'come to no scope'],
      [{ resources: ['deals'], actionClasses: ['write' as const] }, 'no scope in common'],
      // Wider than any entry: not even asked for.
      [{ resources: ['*'] }, 'no scope in common'],
    ])('is not asked for with %j', async (more, message) => {
      const before = world.server.exchanged.length;
      await expect(issuer.issue(ask(more).request)).rejects.toMatchObject({
        code: 'ERR_CREDENTIAL_ISSUE',
        message: expect.stringContaining(message),
      });
      expect(world.server.exchanged.length).toBe(before);
    });

    it.each([
      ['other_scope', '"admin"'],
      ['longer_life', 'longer than its lease'],
      ['refresh_token', 'refresh token'],
      ['no_end', 'does not say when it ends'],
    ] as [Misdeed, string][])(
      'R53 is refused, and given back, where the server gives more: %s',
      async (misdeed, message) => {
        world.server.misdeed = misdeed;
        const before = world.server.liveTokens();
        await expect(issuer.issue(ask().request)).rejects.toMatchObject({
          code: 'ERR_CREDENTIAL_ISSUE',
          message: expect.stringContaining(message),
        });
        expect(world.server.liveTokens()).toBe(before);
      },
    );

    it('L3 ends as the server says, never later than its lease', async () => {
      const { lease, request } = ask();
      const { fields, nativeExpiresAt } = await issuer.issue(request);
      const { exp } = await world.server.introspect(fields.token?.reveal() ?? '');
      expect(nativeExpiresAt).toBeLessThanOrEqual(lease.expiresAt);
      expect(Number(exp) * 1000).toBeLessThanOrEqual(lease.expiresAt + 1_000);
    });

    it('L7 claims nothing before it knows what the server can revoke, and then what it can', async () => {
      const fresh = createOauthIssuer(world.options());
      expect(fresh.revocation).toBe('expiry_only');
      await fresh.issue(ask().request);
      expect(fresh.revocation).toBe('next_use');
      const signed = createOauthIssuer(world.options({ isIntrospected: false }));
      await signed.issue(ask().request);
      expect(signed.revocation).toBe('expiry_only');
    });

    it('L4 is of the client that it was given to: another one at that server does not revoke it', () => {
      const [one, other] = ['remit', 'another'].map((clientId) => createOauthIssuer(world.options({ clientId })));
      expect(one?.downstream).toBe(`${world.server.issuer} as remit`);
      expect(other?.downstream).not.toBe(one?.downstream);
    });

    it('L4 is revoked by its handle alone, and without one nothing is asked', async () => {
      const { lease, request } = ask();
      const { fields, handle } = await issuer.issue(request);
      await issuer.revoke(lease, undefined);
      expect((await world.server.introspect(fields.token?.reveal() ?? '')).active).toBe(true);
      await issuer.revoke(lease, handle);
      expect((await world.server.introspect(fields.token?.reveal() ?? '')).active).toBe(false);
    });

    it('L4 is not taken for revoked where the server cannot be reached', async () => {
      const gone = await startOauthWorld();
      const other = createOauthIssuer(gone.options());
      const { lease, request } = ask();
      const { handle } = await other.issue(request);
      await gone.server.close();
      await expect(other.revoke(lease, handle)).rejects.toMatchObject({ code: 'ERR_CREDENTIAL_REVOKE' });
    });

    it('proves who Remit is by a key of its own where it has no secret', async () => {
      const keyed = createOauthIssuer(world.options({ clientId: 'keyed', clientSecret: undefined }));
      const { lease, request } = ask();
      const { fields, handle } = await keyed.issue(request);
      expect((await world.server.introspect(fields.token?.reveal() ?? '')).active).toBe(true);
      await keyed.revoke(lease, handle);
      expect((await world.server.introspect(fields.token?.reveal() ?? '')).active).toBe(false);
    });

    it('may be the client’s own, narrowed, where the server exchanges nothing', async () => {
      const own = createOauthIssuer(world.options({ grant: 'client_credentials', tokenSeconds: 120 }));
      const { request } = ask();
      const before = world.server.exchanged.length;
      const { fields } = await own.issue({ ...request, expiresAt: Date.now() + 120_000 });
      expect(world.server.exchanged.length).toBe(before);
      expect(await world.server.introspect(fields.token?.reveal() ?? '')).toMatchObject({ scope: 'contacts.read' });
    });

    it('is never asked for over plain http but on loopback', () => {
      expect(() => createOauthIssuer(world.options({ server: 'http://login.example.com' }))).toThrow(/https/);
    });
  });
}
