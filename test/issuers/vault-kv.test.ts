import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createVaultKvReader } from '../../src/adapters/issuers/vault-kv.ts';
import { createGuardedFetch } from '../../src/adapters/upstreams/guarded-fetch.ts';
import { Secret } from '../../src/domain/secret.ts';
import { type FakeVault, startFakeVault } from '../support/fake-vault.ts';

describe('a key of a Vault’s KV engine', () => {
  let vault: FakeVault;
  const { fetch, close } = createGuardedFetch({ hostname: '127.0.0.1', allowPrivateNetwork: false });

  beforeAll(async () => {
    vault = await startFakeVault();
    vault.kv.set('teams/crm', { token: 'canary-kv-token', count: 4 });
  });
  afterAll(async () => {
    await close();
    await vault.close();
  });

  const reader = (more: Partial<Parameters<typeof createVaultKvReader>[0]> = {}) =>
    createVaultKvReader({
      address: vault.url,
      namespace: undefined,
      login: { token: async () => new Secret(vault.rootToken) },
      fetch,
      clock: Date.now,
      mount: 'secret',
      path: 'teams/crm',
      key: 'token',
      ...more,
    });
  const signal = (): AbortSignal => AbortSignal.timeout(5_000);

  it('is read each time, with its version, and nothing else of the secret', async () => {
    const read = reader();
    const { secret, version } = await read(signal());
    expect([secret.reveal(), version]).toEqual(['canary-kv-token', 3]);
    vault.kv.set('teams/crm', { token: 'canary-kv-token-2' });
    expect((await read(signal())).secret.reveal()).toBe('canary-kv-token-2');
  });

  it.each([
    ['there is no such key', { key: 'password' }, 'no password'],
    ['what it has is no text', { key: 'count' }, 'no count'],
    ['there is no such secret', { path: 'teams/none' }, '404'],
    ['there is no such engine', { mount: 'kv' }, 'no handler'],
    ['Remit may not', { login: { token: async () => new Secret('canary-other') } }, 'permission denied'],
  ])('is refused where %s, without a word of it', async (_, more, text) => {
    vault.kv.set('teams/crm', { token: 'canary-kv-token', count: 4 });
    const error = await reader(more)(signal()).then(
      () => expect.unreachable('it was read'),
      (fault: Error) => fault,
    );
    expect(error).toMatchObject({ code: 'ERR_CREDENTIAL_ISSUE', hint: expect.stringContaining('data/') });
    expect(error.message).toContain(text);
    expect(JSON.stringify(error) + error.message).not.toContain('canary');
  });

  it('is refused where the deadline passes', async () => {
    vault.troubles.push({ at: /secret\/data/, how: 'hang', times: 1 });
    await expect(reader()(AbortSignal.timeout(150))).rejects.toThrow('not done before the issue deadline');
  });
});
