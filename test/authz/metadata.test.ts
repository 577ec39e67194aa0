import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import { discoverAuthorizationServerMetadata } from '@modelcontextprotocol/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { unauthorizedChallenge } from '../../src/http/authorization-server/challenges.ts';
import {
  protectedResourceMetadata,
  protectedResourceMetadataPath,
} from '../../src/http/authorization-server/metadata.ts';
import { type Fixture, startFixture } from './authorization-fixture.ts';

let fixture: Fixture;
beforeAll(async () => {
  fixture = await startFixture();
});
afterAll(() => fixture.close());

const get = async (path: string, init: RequestInit = {}) => {
  const response = await fetch(`${fixture.issuer}${path}`, { redirect: 'manual', ...init });
  return { status: response.status, type: response.headers.get('content-type') ?? '', text: await response.text() };
};

describe('authorization server metadata', () => {
  it.each(['/.well-known/oauth-authorization-server', '/.well-known/openid-configuration'])(
    'answers at %s',
    async (path) => {
      const { status, type, text } = await get(path);
      expect([status, type]).toEqual([200, expect.stringContaining('application/json')]);
      expect(JSON.parse(text)).toMatchObject({
        issuer: fixture.issuer,
        token_endpoint: `${fixture.issuer}/oauth/token`,
        jwks_uri: `${fixture.issuer}/oauth/jwks`,
        grant_types_supported: ['urn:ietf:params:oauth:grant-type:token-exchange', 'client_credentials'],
        token_endpoint_auth_methods_supported: ['private_key_jwt'],
        authorization_details_types_supported: ['remit_task'],
        response_types_supported: [],
      });
    },
  );

  it('is what the official MCP client accepts', async () => {
    const metadata = await discoverAuthorizationServerMetadata(fixture.issuer);
    expect(metadata?.token_endpoint).toBe(`${fixture.issuer}/oauth/token`);
  });

  it('does not follow the Host header', async () => {
    const { request } = await import('node:http');
    const text = await new Promise<string>((done, fail) => {
      request(
        `${fixture.issuer}/.well-known/oauth-authorization-server`,
        { headers: { Host: 'evil.example' } },
        async (response) => {
          let all = '';
          for await (const chunk of response) all += chunk;
          done(all);
        },
      )
        .on('error', fail)
        .end();
    });
    expect(text).toContain(fixture.issuer);
    expect(text).not.toContain('evil.example');
  });

  it('shows public keys only', async () => {
    const { status, type, text } = await get('/oauth/jwks');
    expect([status, type]).toEqual([200, expect.stringContaining('application/jwk-set+json')]);
    const { keys } = JSON.parse(text) as { keys: Record<string, unknown>[] };
    expect(keys.map((key) => Object.keys(key).sort())).toEqual([['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y']]);
  });

  it.each([
    ['GET', '/oauth/authorize?response_type=code&client_id=support-bot', 400],
    ['GET', '/oauth/token', 405],
    ['GET', '/auth', 404],
    ['GET', '/me', 404],
    ['POST', '/reg', 404],
    ['POST', '/request', 404],
    ['GET', '/interaction/x', 404],
    ['POST', '/session/end/confirm', 404],
    ['GET', '/OAUTH/JWKS', 404],
    ['GET', '/.well-known/openid-credential-issuer', 404],
  ])('answers %s %s with an error in JSON', async (method, path, expected) => {
    const { status, text } = await get(path, { method });
    expect(status).toBe(expected);
    expect(JSON.parse(text)).toEqual({ error: expect.any(String), error_description: expect.any(String) });
    expect(fixture.authorizationServer.handles(path)).toBe(path === '/oauth/token');
  });

  it('answers a browser in JSON too', async () => {
    const { status, type } = await get('/oauth/token', { method: 'POST', headers: { Accept: 'text/html' } });
    expect([status, type]).toEqual([400, expect.stringContaining('application/json')]);
  });

  it('lets no web page ask for a token', async () => {
    const parameters = {
      grant_type: 'client_credentials',
      authorization_details: fixture.details({ template: 'triage' }),
    };
    const response = await fetch(`${fixture.issuer}/oauth/token`, {
      method: 'POST',
      headers: { Origin: 'https://evil.example', 'Content-Type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({
        ...parameters,
        resource: fixture.resource,
        client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
        client_assertion: await fixture.assertion('support-bot', fixture.keys.supportBot),
      }),
    });
    expect(response.status).toBe(400);
    expect(response.headers.get('access-control-allow-origin')).toBeNull();
  });

  it('prints nothing on a terminal, on plain http and on this version of Node', async () => {
    // A process of its own: the runner's console is not the terminal, and the library warns once per process.
    const script = resolve(import.meta.dirname, 'quiet-server.ts');
    const { stdout, stderr } = await promisify(execFile)(process.execPath, ['--import', 'tsx', script], {
      timeout: 15_000,
    });
    expect(stdout).toBe('400 401 400 200 200\n');
    expect(stderr).toBe('');
  });
});

describe('protected resource', () => {
  it('names the authorization server and where its own metadata is', () => {
    expect(protectedResourceMetadata({ resource: 'https://g.example/mcp', issuer: 'https://g.example' })).toMatchObject(
      {
        resource: 'https://g.example/mcp',
        authorization_servers: ['https://g.example'],
        bearer_methods_supported: ['header'],
      },
    );
    expect(protectedResourceMetadataPath('https://g.example/mcp')).toBe('/.well-known/oauth-protected-resource/mcp');
    expect(protectedResourceMetadataPath('https://g.example/')).toBe('/.well-known/oauth-protected-resource');
  });

  it('challenges a request without a token, and one with a bad token', () => {
    const where = 'resource_metadata="https://g.example/.well-known/oauth-protected-resource/mcp"';
    const resource = 'https://g.example/mcp';
    expect(unauthorizedChallenge(resource, { error: 'missing_token', reason: 'none' })).toBe(`Bearer ${where}`);
    expect(unauthorizedChallenge(resource, { error: 'invalid_token', reason: 'not "Bearer"\r\nX: y \\' })).toBe(
      `Bearer error="invalid_token", error_description="not 'Bearer'??X: y /", ${where}`,
    );
  });
});
