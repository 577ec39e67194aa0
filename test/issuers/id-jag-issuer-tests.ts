import type { JWTPayload } from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createIdJagIssuer, type IdJagIssuerOptions } from '../../src/adapters/issuers/id-jag-issuer.ts';
import { agentId } from '../../src/domain/ids.ts';
import { Secret } from '../../src/domain/secret.ts';
import type { Issuer } from '../../src/seams/issuer.ts';
import { issuerSuite, newLease, requestFor } from '../suites/issuer-suite.ts';
import { type FakeIdJagServers, type IdJagMisdeed, startFakeIdJagServers } from '../support/fake-id-jag-servers.ts';
import { createSigningGateway, type SigningGateway } from './signing-gateway.ts';

const CLIENT_SECRET = 'canary-id-jag-client-5a1';
const RESOURCE = 'https://crm.example.com/mcp';
const ADA = { issuer: 'https://idp.example.com', subject: 'ada', groups: [] };

export interface IdJagWorld {
  readonly servers: FakeIdJagServers;
  readonly gateway: SigningGateway;
  options(changes?: Partial<IdJagIssuerOptions>): IdJagIssuerOptions;
}

export async function startIdJagWorld(more: { canRevoke?: boolean } = {}): Promise<IdJagWorld> {
  const gateway = await createSigningGateway();
  const servers = await startFakeIdJagServers({
    clientSecret: CLIENT_SECRET,
    assertionKeys: gateway.keys,
    gateway: gateway.url,
    users: { ada: ['contacts.read', 'contacts.write'], bob: ['contacts.read'], eve: [] },
    resource: RESOURCE,
    ...more,
  });
  const client = {
    clientSecret: async () => new Secret(CLIENT_SECRET),
    clientKey: () => gateway.clientKey(),
    fetch: (address: string, init: RequestInit) => fetch(address, init),
  };
  return {
    servers,
    gateway,
    options: (changes = {}) => ({
      ...client,
      server: servers.server,
      clientId: servers.clientId,
      idp: { ...client, server: servers.idp, clientId: 'remit' },
      scopes: {
        classes: { read: ['contacts.read'], write: ['contacts.read', 'contacts.write'] },
        resources: undefined,
      },
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

/** Every lease of the suite's is on Ada's behalf. */
const forAda = (issuer: Issuer): Issuer => ({
  ...issuer,
  get revocation() {
    return issuer.revocation;
  },
  issue: (request) => issuer.issue({ ...request, user: ADA }),
});

/** What holds of grants of identity assertions, against two real oidc-providers. */
export function idJagIssuerTests(): void {
  for (const [name, canRevoke] of [
    ['introspected tokens', true],
    ['a server that revokes nothing', false],
  ] as const) {
    issuerSuite(`id-jag, ${name}`, async () => {
      const { servers, options } = await startIdJagWorld({ canRevoke });
      const make = (changes: Partial<IdJagIssuerOptions> = {}) => forAda(createIdJagIssuer(options(changes)));
      const issuer = make();
      await issuer.issue(requestFor(newLease(issuer), AbortSignal.timeout(10_000)));
      const wrong = async () => new Secret('canary-wrong-client-31');
      return {
        issuer,
        other: () => make(),
        clock: Date.now,
        resources: ['contacts/42'],
        actionClasses: ['read'],
        canUse: async ({ token }) => (await servers.introspect(token?.reveal() ?? '')).active,
        exists: undefined,
        broken: [
          make({ clientSecret: wrong }),
          make({ idp: { ...options().idp, clientSecret: wrong } }),
          make({ idp: { ...options().idp, fetch: () => Promise.reject(new Error('no way there')) } }),
          make({ fetch: () => Promise.reject(new Error('no way there')) }),
          make({ sign: () => Promise.reject(new Error('no key')) }),
        ],
        secrets: [CLIENT_SECRET, 'canary-wrong-client-31'],
        stop: () => servers.close(),
      };
    });
  }

  describe('a leased token on a user’s behalf, through the identity provider', () => {
    let world: IdJagWorld;
    let issuer: Issuer;
    beforeAll(async () => {
      world = await startIdJagWorld();
      issuer = createIdJagIssuer(world.options());
    });
    afterEach(() => {
      world.servers.misdeed = undefined;
      world.servers.subjects.length = 0;
      world.servers.grants.length = 0;
    });
    afterAll(() => world.servers.close());

    const ask = (more: object = {}, of: Issuer = issuer) => {
      const lease = newLease(of);
      const request = requestFor(lease, AbortSignal.timeout(10_000));
      return { lease, issued: of.issue({ ...request, user: ADA, actionClasses: ['read'], ...more }) };
    };
    const refusal = (message: string) => ({
      code: 'ERR_CREDENTIAL_ISSUE',
      message: expect.stringContaining(message),
      hint: expect.stringMatching(/.+/),
    });

    it('R53 is the user’s, with the agent as the one who acts, for one client, server and resource', async () => {
      const { lease, issued } = ask({ agent: agentId('seller'), actionClasses: ['write'] });
      const { fields, scope } = await issued;
      expect(world.servers.subjects).toMatchObject([
        { iss: world.gateway.url, aud: world.servers.idp, sub: 'ada', act: { sub: 'seller' }, jti: lease.tag },
      ]);
      expect(world.servers.grants).toMatchObject([
        {
          iss: world.servers.idp,
          aud: world.servers.server,
          sub: 'ada',
          act: { sub: 'seller' },
          client_id: 'remit-at-crm',
          resource: RESOURCE,
          scope: 'contacts.read contacts.write',
        },
      ]);
      expect(scope).toBe(`contacts.read contacts.write at ${RESOURCE}`);
      const seen = await world.servers.introspect(fields.token?.reveal() ?? '');
      expect(seen).toMatchObject({ active: true, scope: 'contacts.read contacts.write' });
      expect(world.servers.subjects[0]?.exp ?? 0).toBeLessThanOrEqual(lease.expiresAt / 1000);
    });

    it('R53 is never more than the provider lets its user have, and never more than the task needs', async () => {
      const bob = { ...ADA, subject: 'bob' };
      const { fields, scope } = await ask({ user: bob, actionClasses: ['write'] }).issued;
      expect(scope).toBe(`contacts.read at ${RESOURCE}`);
      expect(await world.servers.introspect(fields.token?.reveal() ?? '')).toMatchObject({ scope: 'contacts.read' });
      const read = await ask().issued;
      expect(await world.servers.introspect(read.fields.token?.reveal() ?? '')).toMatchObject({
        scope: 'contacts.read',
      });
    });

    it('is not to be had for a user whom the provider lets have nothing, nor for nobody', async () => {
      await expect(ask({ user: { ...ADA, subject: 'eve' } }).issued).rejects.toMatchObject(refusal('access_denied'));
      world.servers.subjects.length = 0;
      await expect(ask({ user: undefined }).issued).rejects.toMatchObject(refusal('nobody’s behalf'));
      expect(world.servers.subjects).toEqual([]);
    });

    it('for the gateway’s own listing has no scope, and is of nobody', async () => {
      const { fields } = await ask({ user: undefined, actionClasses: [] }).issued;
      expect(world.servers.subjects).toMatchObject([{ sub: 'suite' }]);
      expect(world.servers.subjects[0]?.act).toBeUndefined();
      expect((await world.servers.introspect(fields.token?.reveal() ?? '')).scope ?? '').toBe('');
    });

    const soon = Math.floor(Date.now() / 1000) + 60;
    it.each<[string, Extract<IdJagMisdeed, { at: 'idp' }>]>([
      ['another issuer', { at: 'idp', claims: { iss: 'https://elsewhere.example' } }],
      ['another authorization server', { at: 'idp', claims: { aud: 'https://elsewhere.example' } }],
      [
        'another authorization server',
        { at: 'idp', claims: { aud: ['https://elsewhere.example', 'https://b.example'] } },
      ],
      ['another client', { at: 'idp', claims: { client_id: 'somebody-else' } }],
      ['another resource', { at: 'idp', claims: { resource: 'https://elsewhere.example/' } }],
      ['no jti', { at: 'idp', claims: { jti: undefined } as unknown as JWTPayload }],
      ['has ended', { at: 'idp', claims: { exp: soon - 120 } }],
      ['"contacts.delete" was not asked for', { at: 'idp', claims: { scope: 'contacts.read contacts.delete' } }],
      ['grants none', { at: 'idp', claims: { scope: '' } }],
      ['its type is not', { at: 'idp', typ: 'JWT' }],
      [
        'it is a "urn:ietf:params:oauth:token-type:access_token"',
        { at: 'idp', answer: { issued_token_type: 'urn:ietf:params:oauth:token-type:access_token' } },
      ],
      ['came with a refresh token', { at: 'idp', answer: { refresh_token: 'canary-of-idp' } }],
      ['it is no JWT', { at: 'idp', answer: { access_token: 'canary-opaque' } }],
    ])('R53 is not presented anywhere where the provider gives something else: %s', async (message, misdeed) => {
      world.servers.misdeed = misdeed;
      const live = world.servers.liveTokens();
      const error = await ask().issued.catch((caught: unknown) => caught);
      expect(error).toMatchObject(refusal(message));
      expect(String(error)).not.toContain('canary');
      expect(world.servers.grants).toEqual([]);
      expect(world.servers.liveTokens()).toBe(live);
    });

    it.each<[string, Record<string, unknown>]>([
      ['"contacts.delete"', { scope: 'contacts.read contacts.delete' }],
      ['longer than its lease', { expires_in: 7_200 }],
      ['refresh token', { refresh_token: 'canary-of-server' }],
      ['does not say when it ends', { expires_in: undefined }],
    ])('R53 is refused, and given back, where the server gives more: %s', async (message, answer) => {
      world.servers.misdeed = { at: 'server', answer };
      const live = world.servers.liveTokens();
      await expect(ask().issued).rejects.toMatchObject(refusal(message));
      expect(world.servers.liveTokens()).toBe(live);
    });

    it('L7 is lapsing where its answer was lost: nothing claims that it was revoked', async () => {
      world.servers.misdeed = { at: 'server', lost: true };
      const live = world.servers.liveTokens();
      const { lease, issued } = ask();
      await expect(issued).rejects.toMatchObject({ code: 'ERR_CREDENTIAL_ISSUE' });
      // Somebody has it, and nobody here knows it: the row says so by `needsHandle`, and it ends by itself.
      expect(world.servers.liveTokens()).toBe(live + 1);
      expect(issuer.needsHandle).toBe(true);
      await expect(issuer.revoke(lease, undefined)).resolves.toBeUndefined();
      // A grant is used once: the next lease gets one of its own.
      world.servers.misdeed = undefined;
      await expect(ask().issued).resolves.toBeDefined();
    });

    it('L4 is revoked by its handle alone, and not taken for revoked where the server cannot be reached', async () => {
      const gone = await startIdJagWorld();
      const other = createIdJagIssuer(gone.options());
      const { lease, issued } = ask({}, other);
      const { handle, fields } = await issued;
      await other.revoke(lease, undefined);
      expect((await gone.servers.introspect(fields.token?.reveal() ?? '')).active).toBe(true);
      await other.revoke(lease, handle);
      expect((await gone.servers.introspect(fields.token?.reveal() ?? '')).active).toBe(false);
      await gone.servers.close();
      await expect(other.revoke(lease, handle)).rejects.toMatchObject({ code: 'ERR_CREDENTIAL_REVOKE' });
    });

    it('is not to be had while the provider is down, and a lease that was given stays good', async () => {
      const half = await startIdJagWorld();
      const other = createIdJagIssuer(half.options());
      const { lease, issued } = ask({}, other);
      const { handle, fields } = await issued;
      await half.servers.closeIdp();
      await expect(ask({}, other).issued).rejects.toMatchObject({ code: 'ERR_CREDENTIAL_ISSUE' });
      expect((await half.servers.introspect(fields.token?.reveal() ?? '')).active).toBe(true);
      await other.revoke(lease, handle);
      expect((await half.servers.introspect(fields.token?.reveal() ?? '')).active).toBe(false);
      await half.servers.close();
    });

    it('is given up at the deadline where one of the two hangs', async () => {
      const hangs = (address: string, init: RequestInit) =>
        new Promise<Response>((resolve, reject) => {
          init.signal?.addEventListener('abort', () => reject(new Error('aborted')));
          if (!address.endsWith('/token')) fetch(address, init).then(resolve, reject);
        });
      for (const changes of [{ fetch: hangs }, { idp: { ...world.options().idp, fetch: hangs } }]) {
        const slow = createIdJagIssuer(world.options(changes));
        const { issued } = ask({ signal: AbortSignal.timeout(150) }, slow);
        await expect(issued).rejects.toMatchObject(refusal('not done before the issue deadline'));
      }
    });

    it('tells nobody of a user where the server says that it does not take the grant', async () => {
      const otherwise = createIdJagIssuer(
        world.options({
          fetch: async (address, init) => {
            const response = await fetch(address, init);
            if (!address.includes('.well-known')) return response;
            const document = (await response.json()) as object;
            return Response.json({ ...document, authorization_grant_profiles_supported: ['urn:example:other'] });
          },
        }),
      );
      await expect(ask({}, otherwise).issued).rejects.toMatchObject(refusal('does not take identity assertion grants'));
      expect(world.servers.subjects).toEqual([]);
    });

    it('is never asked for over plain http but on loopback', () => {
      expect(() => createIdJagIssuer(world.options({ server: 'http://login.example.com' }))).toThrow(/https/);
      const idp = { ...world.options().idp, server: 'http://idp.example.com' };
      expect(() => createIdJagIssuer(world.options({ idp }))).toThrow(/https/);
    });
  });
}
