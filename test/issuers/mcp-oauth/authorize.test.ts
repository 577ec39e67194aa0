import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createAuthorizer } from '../../../src/adapters/issuers/mcp-oauth/authorizer.ts';
import type { AuthorizerSetup } from '../../../src/adapters/issuers/mcp-oauth/setup.ts';
import { Secret } from '../../../src/domain/secret.ts';
import type { FakeOauthServer, OauthMisdeeds } from '../../support/fake-oauth-server.ts';
import { CALLBACK, type OauthWorld, startOauthWorld } from './oauth-world.ts';

describe('authorising Remit at a connector', () => {
  let world: OauthWorld;
  beforeAll(async () => {
    world = await startOauthWorld();
  });
  beforeEach(() => {
    world.store.row = undefined;
  });
  afterEach(() => {
    for (const name of Object.keys(world.server.misdeeds))
      delete (world.server.misdeeds as Record<string, unknown>)[name];
    world.server.asked.length = 0;
    world.server.tokenRequests.length = 0;
    world.server.registrations.length = 0;
  });
  afterAll(() => world.close());

  const begin = (changes: Partial<AuthorizerSetup> = {}, wanted: string[] = []) =>
    createAuthorizer(world.setup(changes)).begin(wanted, 'dana');
  const refusal = (message: string) => ({
    code: 'ERR_AUTHORIZATION_REFUSED',
    message: expect.stringContaining(message),
    hint: expect.stringMatching(/.+/),
  });

  it('keeps the refresh token with the issuer, the resource and the client that it belongs to', async () => {
    const { server, store } = world;
    const facts = await world.authorize();
    expect(facts).toMatchObject({
      issuer: server.issuer,
      resource: server.url,
      registration: 'registered',
      scopes: ['notes.read', 'notes.write'],
    });
    const kept = store.row?.authorization;
    expect(kept).toMatchObject({ issuer: server.issuer, authorizedBy: 'dana', sharedToken: undefined });
    expect(kept?.refreshToken?.reveal()).toMatch(/^canary-refresh-/);
    expect(server.registrations).toEqual([
      expect.objectContaining({
        redirect_uris: [CALLBACK],
        grant_types: ['authorization_code', 'refresh_token'],
        application_type: 'native',
      }),
    ]);
    expect(server.tokenRequests).toEqual([
      expect.objectContaining({
        resource: server.url,
        redirect_uri: CALLBACK,
        code_verifier: expect.stringMatching(/.{43}/),
      }),
    ]);
  });

  it('L6 shows no secret in what it says of itself', async () => {
    const facts = await world.authorize();
    expect(JSON.stringify([facts, world.store.row])).not.toMatch(/canary/);
  });

  describe('refuses before a browser is opened, and registers nowhere', () => {
    it.each<[string, (server: FakeOauthServer) => OauthMisdeeds, string]>([
      [
        'metadata of another resource',
        () => ({ resource: { resource: 'https://evil.example.com/mcp' } }),
        'another resource',
      ],
      ['metadata of a path beside it', ({ url }) => ({ resource: { resource: `${url}/other` } }), 'another resource'],
      ['no authorization server', () => ({ resource: { authorization_servers: [] } }), 'name no authorization server'],
      ['a server in the clear', () => ({ resource: { authorization_servers: ['http://a.example'] } }), 'not an https'],
      ['a server of another scheme', () => ({ resource: { authorization_servers: ['file:///etc'] } }), 'not an https'],
      [
        'metadata of another issuer',
        () => ({ metadata: { issuer: 'https://evil.example.com' } }),
        'name another issuer',
      ],
      ['an issuer but for a slash', ({ issuer }) => ({ metadata: { issuer: `${issuer}/` } }), 'name another issuer'],
      ['no word about PKCE', () => ({ metadata: { code_challenge_methods_supported: undefined } }), 'PKCE'],
      ['plain PKCE alone', () => ({ metadata: { code_challenge_methods_supported: ['plain'] } }), 'PKCE'],
      [
        'no authorization endpoint',
        () => ({ metadata: { authorization_endpoint: undefined } }),
        'no authorization endpoint',
      ],
      [
        'a script for the browser',
        () => ({ metadata: { authorization_endpoint: 'javascript:alert(1)' } }),
        'not an https',
      ],
      ['a token endpoint in the clear', () => ({ metadata: { token_endpoint: 'http://a.example/t' } }), 'not an https'],
      ['no token endpoint', () => ({ metadata: { token_endpoint: undefined } }), 'no token endpoint'],
      [
        'a challenge that leads inside',
        () => ({ challenge: 'Bearer resource_metadata="http://169.254.169.254/"' }),
        'https',
      ],
      [
        'an issuer that a terminal would obey',
        () => ({ resource: { authorization_servers: ['https://a.example/\u001b[2J'] } }),
        'not an https',
      ],
      [
        'a resource that a terminal would obey',
        ({ url }) => ({ resource: { resource: `${url}\u0007` } }),
        'another resource',
      ],
      ['no registration', () => ({ metadata: { registration_endpoint: undefined } }), 'registers no clients'],
      ['a registration that is refused', () => ({ refuseRegistration: true }), 'did not register'],
    ])('%s', async (_name, misdeeds, message) => {
      const { server } = world;
      Object.assign(server.misdeeds, misdeeds(server));
      await expect(begin()).rejects.toMatchObject(refusal(message));
      expect(server.registrations).toEqual([]);
      expect(server.tokenRequests).toEqual([]);
    });

    it('a server behind addresses that connectors may not be at', async () => {
      world.server.misdeeds.challenge = 'Bearer resource_metadata="https://169.254.169.254/meta"';
      await expect(begin()).rejects.toMatchObject(refusal('address that Remit may not go to'));
    });

    it('a server that its owner did not name', async () => {
      await expect(begin({ server: 'https://login.example.com' })).rejects.toMatchObject(refusal('does not name'));
    });

    it('a connector without metadata', async () => {
      world.server.misdeeds.challenge = 'Bearer';
      await expect(begin({ url: world.server.url.replace('/mcp', '/other') })).rejects.toMatchObject(
        refusal('publishes no metadata'),
      );
    });
  });

  describe('sends no code where the answer in the browser', () => {
    it.each([
      ['names another issuer', { iss: 'https://evil.example.com' }, 'iss'],
      ['names the issuer in another spelling', { iss: 'ISSUER/' }, 'iss'],
      ['names none, though the server says that it does', { iss: undefined }, 'iss'],
      ['has another state', { state: 'somebody-elses' }, 'state'],
      ['has none', { state: undefined }, 'state'],
      ['is an error', { code: undefined, error: 'access_denied' }, 'access_denied'],
    ])('%s', async (_name, redirect, message) => {
      const { server, store } = world;
      const { iss } = redirect as { iss?: string };
      server.misdeeds.redirect = {
        ...redirect,
        ...(iss !== undefined && { iss: iss.replace('ISSUER', server.issuer) }),
      };
      await expect(world.authorize()).rejects.toMatchObject(refusal(message));
      expect(server.tokenRequests).toEqual([]);
      expect(store.row).toBeUndefined();
    });

    it('names an issuer that it does not say it names, and another one', async () => {
      world.server.misdeeds.metadata = { authorization_response_iss_parameter_supported: undefined };
      world.server.misdeeds.redirect = { iss: 'https://evil.example.com' };
      await expect(world.authorize()).rejects.toMatchObject(refusal('iss'));
      expect(world.server.tokenRequests).toEqual([]);
    });

    it('but takes one that names none, where none is promised', async () => {
      world.server.misdeeds.metadata = { authorization_response_iss_parameter_supported: undefined };
      world.server.misdeeds.redirect = { iss: undefined };
      await expect(world.authorize()).resolves.toMatchObject({ issuer: world.server.issuer });
    });
  });

  it('keeps nothing where the trail does not take it, and gives the tokens back', async () => {
    const { server, store } = world;
    const authorizer = createAuthorizer(world.setup());
    const pending = await authorizer.begin([], 'dana');
    const [live, refreshable] = [server.liveTokens(), server.liveRefreshTokens()];
    const full = () => Promise.reject(new Error('the journal is full'));
    await expect(authorizer.complete(pending, await server.open(pending.url), full)).rejects.toThrow('journal is full');
    expect(store.row).toBeUndefined();
    expect([server.liveTokens(), server.liveRefreshTokens()]).toEqual([live, refreshable]);
  });

  it('L2 refuses one access token for everybody, but under an exception that has not ended', async () => {
    world.server.misdeeds.token = { refresh_token: undefined };
    await expect(world.authorize()).rejects.toMatchObject(refusal('no refresh token'));
    await expect(world.authorize({ sharedTokenUntil: Date.now() - 1 })).rejects.toMatchObject(
      refusal('no refresh token'),
    );
    expect(world.store.row).toBeUndefined();
    await world.authorize({ sharedTokenUntil: Date.now() + 60_000 });
    expect(world.store.row?.authorization.sharedToken?.value.reveal()).toMatch(/^canary-access-/);
    world.server.misdeeds.token = { refresh_token: undefined, expires_in: undefined };
    await expect(world.authorize({ sharedTokenUntil: Date.now() + 60_000 })).rejects.toMatchObject(
      refusal('when it ends'),
    );
  });

  it('carries bearer tokens only', async () => {
    world.server.misdeeds.token = { token_type: 'mac' };
    await expect(world.authorize()).rejects.toMatchObject({ code: 'ERR_AUTHORIZATION_REFUSED' });
  });

  describe('is known there', () => {
    it('as registered by hand, before anything else', async () => {
      const clientSecret = async () => new Secret('canary-by-hand-secret-5512');
      const facts = await world.authorize({
        clientId: 'by-hand',
        clientSecret,
        documentUrl: 'https://remit.example/c.json',
      });
      expect(facts).toMatchObject({ client: 'by-hand', registration: 'configured' });
      expect(world.server.registrations).toEqual([]);
    });

    it('by a document, where the server reads one', async () => {
      const documentUrl = 'https://remit.example/client.json';
      expect(await world.authorize({ documentUrl })).toMatchObject({ registration: 'registered' });
      world.server.misdeeds.metadata = { client_id_metadata_document_supported: true };
      expect(await world.authorize({ documentUrl })).toMatchObject({ client: documentUrl, registration: 'document' });
    });

    it('by the registration that it has there, and by a new one elsewhere or with another callback', async () => {
      const first = await world.authorize();
      expect((await world.authorize()).client).toBe(first.client);
      expect((await world.authorize({ callback: `${CALLBACK}/2` })).client).not.toBe(first.client);
      const other = await startOauthWorld();
      // The connector names another authorization server now: nothing of the old one is shown to it.
      other.store.row = world.store.row;
      const moved = await other.authorize();
      expect(other.server.registrations.length).toBe(1);
      expect(JSON.stringify(other.server.tokenRequests)).not.toContain(first.client);
      expect(moved.issuer).toBe(other.server.issuer);
      await other.close();
    });

    it.each([
      ['client_secret_basic', 'authorization'],
      ['client_secret_post', 'client_secret'],
      ['none', undefined],
    ])('and authenticates by %s where the server takes only that', async (method, shown) => {
      world.server.misdeeds.metadata = { token_endpoint_auth_methods_supported: [method] };
      const changes = method === 'none' ? { clientId: 'https://public.example/' } : {};
      await world.authorize(changes);
      const asked = world.server.tokenRequests.at(-1) ?? {};
      expect(Object.keys(asked).filter((key) => key === 'authorization' || key === 'client_secret')).toEqual(
        shown === undefined ? [] : [shown],
      );
    });
  });

  describe('asks for scopes', () => {
    const scopeOf = async (changes: Partial<AuthorizerSetup> = {}, wanted: string[] = []) =>
      new URL((await begin(changes, wanted)).url).searchParams.get('scope');

    it('of the challenge, else of the resource, else none', async () => {
      expect(await scopeOf()).toBe('notes.read notes.write');
      world.server.misdeeds.resource = { scopes_supported: undefined };
      expect(await scopeOf()).toBeNull();
      world.server.misdeeds.challenge = 'Bearer scope="notes.read"';
      expect(await scopeOf()).toBe('notes.read');
    });

    it('that the owner names, before those', async () => {
      const scopes = { classes: { read: ['notes.read'] }, resources: undefined };
      expect(await scopeOf({ scopes })).toBe('notes.read');
      expect(await scopeOf({ scopes }, ['notes.admin'])).toBe('notes.admin');
    });

    it('offline_access only where the server offers it', async () => {
      world.server.misdeeds.challenge = 'Bearer scope="notes.read offline_access"';
      world.server.misdeeds.metadata = { scopes_supported: ['notes.read'] };
      expect(await scopeOf()).toBe('notes.read');
      world.server.misdeeds.metadata = { scopes_supported: ['notes.read', 'offline_access'] };
      expect(await scopeOf()).toBe('notes.read offline_access');
    });

    it('that are missing where leases are narrowed never by authorising: the narrowing is what lacks them', async () => {
      const scopes = { classes: { read: ['notes.read'] }, resources: undefined };
      const authorizer = createAuthorizer(world.setup({ scopes }));
      authorizer.noteChallenge(403, 'Bearer error="insufficient_scope", scope="notes.write"');
      await expect(authorizer.begin([], 'dana')).rejects.toMatchObject(refusal('was not narrowed to'));
      expect(world.server.asked).toEqual([]);
      expect((await authorizer.begin(['notes.read'], 'dana')).scopes).toEqual(['notes.read']);
    });

    it('that were missing, with those that it has; and ends the loop where it has them', async () => {
      const authorizer = createAuthorizer(world.setup());
      const deed = async () => {
        const pending = await authorizer.begin([], 'dana');
        await authorizer.complete(pending, await world.server.open(pending.url), async () => {});
        return pending.scopes;
      };
      world.server.misdeeds.challenge = 'Bearer scope="notes.read"';
      expect(await deed()).toEqual(['notes.read']);
      // Neither of these says that a scope is missing.
      authorizer.noteChallenge(401, 'Bearer error="insufficient_scope", scope="notes.write"');
      authorizer.noteChallenge(403, 'Bearer error="invalid_token", scope="notes.write"');
      expect(authorizer.missing()).toBeUndefined();
      authorizer.noteChallenge(403, 'Bearer error="insufficient_scope", scope="notes.write"');
      expect(await deed()).toEqual(['notes.read', 'notes.write']);
      authorizer.noteChallenge(403, 'Bearer error="insufficient_scope", scope="notes.write"');
      await expect(authorizer.begin([], 'dana')).rejects.toMatchObject(refusal('was shown a token that has them'));
      expect((await authorizer.begin(['notes.admin'], 'dana')).scopes).toContain('notes.admin');
    });
  });
});
