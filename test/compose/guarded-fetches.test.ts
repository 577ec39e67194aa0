import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSubjectTokenVerifier } from '../../src/adapters/authn/subject-token-verifier.ts';
import { createWebhookNotifier } from '../../src/adapters/notifiers/webhook-notifier.ts';
import { guardedFetch, guardedFetches } from '../../src/compose/guarded-fetches.ts';
import { approvalId } from '../../src/domain/ids.ts';
import { Secret } from '../../src/domain/secret.ts';

/** Somebody inside: on loopback, as a service beside the gateway is. */
let inside: Server;
let address: string;
const asked: string[] = [];

beforeAll(async () => {
  inside = createServer((request, response) => {
    asked.push(request.url ?? '');
    if (request.url === '/away') response.writeHead(302, { Location: `${address}/keys` }).end();
    else response.end('{"keys":[]}');
  });
  await new Promise<void>((resolve) => inside.listen(0, '127.0.0.1', resolve));
  address = `http://127.0.0.1:${(inside.address() as AddressInfo).port}`;
});
afterAll(async () => {
  inside.closeAllConnections();
  await new Promise((resolve) => inside.close(resolve));
});

const init = { headers: {}, redirect: 'error', signal: AbortSignal.timeout(5_000) } as const;
const OUTSIDE = { issuer: 'https://idp.example', allowPrivateNetwork: false };
const refused = { cause: { code: 'ERR_CONNECTOR_UNREACHABLE' } };

describe('keys of providers and transmitters', () => {
  it.each(['http://169.254.169.254/latest/meta-data/', 'http://10.0.0.7/keys', 'http://[::ffff:127.0.0.1]/keys'])(
    'are not fetched from inside: %s',
    async (place) => {
      await expect(guardedFetches([OUTSIDE])(place, init, OUTSIDE)).rejects.toMatchObject(refused);
    },
  );

  it('are not fetched from loopback for a provider that is elsewhere; from one that says loopback they are, without a redirect', async () => {
    await expect(guardedFetches([OUTSIDE])(`${address}/keys`, init, OUTSIDE)).rejects.toMatchObject(refused);
    expect(asked).toEqual([]);
    const own = { issuer: address, allowPrivateNetwork: false };
    const elsewhere = { ...OUTSIDE, jwksUri: `${address}/keys` };
    for (const source of [own, elsewhere]) {
      const fetched = await guardedFetches([source])(`${address}/keys`, init, source);
      await expect(fetched.json()).resolves.toEqual({ keys: [] });
    }
    expect((await guardedFetches([own])(`${address}/away`, init, own)).status).toBe(302);
    expect(asked).toEqual(['/keys', '/keys', '/away']);
  });

  it('are fetched of nobody who is not configured', async () => {
    await expect(guardedFetches([])(`${address}/keys`, init, OUTSIDE)).rejects.toMatchObject({ code: 'ERR_INTERNAL' });
  });

  it('D1 a user token of a provider whose keys are inside is refused, as the provider cannot be asked', async () => {
    const provider = {
      ...OUTSIDE,
      audience: 'remit',
      groupsClaim: 'groups',
      jwksUri: 'http://169.254.169.254/keys',
    };
    const verifier = createSubjectTokenVerifier({
      providers: [provider],
      fetch: guardedFetches([provider]),
      clock: Date.now,
      log: { debug() {}, info() {}, warn() {}, error() {} },
    });
    const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const claims = { iss: provider.issuer, aud: 'remit', sub: 'ann', exp: 4_000_000_000 };
    const token = `${part({ alg: 'ES256', kid: 'k' })}.${part(claims)}.${part({})}`;
    await expect(verifier.verify(token)).resolves.toMatchObject({ refused: 'unavailable' });
  });
});

describe('a webhook', () => {
  const notice = { approval: approvalId('apr_one'), url: 'https://remit.example/approvals/apr_one', expiresAt: 0 };
  const hook = (url: string) =>
    createWebhookNotifier({ url: new Secret(url), format: 'json', to: undefined, fetch: guardedFetch(url, false) });

  it('inside is not posted to, and its address stays out of the error; one on loopback that says so is', async () => {
    const secret = 'http://10.0.0.7/hook-4f9a81c2';
    await expect(hook(secret).notify(notice)).rejects.toThrow('the json notice could not be sent');
    await expect(hook(secret).notify(notice)).rejects.not.toThrow('4f9a81c2');
    await hook(`${address}/hook`).notify(notice);
    expect(asked.at(-1)).toBe('/hook');
    await expect(hook('not an address').notify(notice)).rejects.toThrow('the json notice could not be sent');
  });
});
