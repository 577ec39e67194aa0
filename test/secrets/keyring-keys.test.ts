import { randomBytes } from 'node:crypto';
import { afterAll, describe, expect, it } from 'vitest';
import {
  createKeyringKey,
  createKeyringKeyProvider,
  type KeyringModule,
  type KeyringPlace,
} from '../../src/adapters/keys/keyring-key-provider.ts';
import { keyProviderSuite, keyTextSuite } from '../suites/key-provider-suite.ts';
import { createFakeKeyring } from '../support/fake-keyring.ts';

const accounts = new Set<string>();
/** A place that no other run uses. */
function newPlace(): KeyringPlace {
  const account = `test-${randomBytes(6).toString('hex')}`;
  accounts.add(account);
  return { service: 'remit-test', account, linuxStore: 'keyutils' };
}
const context = Buffer.from('context');

describe('keyring', () => {
  const keyring = createFakeKeyring();
  keyTextSuite('keyring', async (text) => {
    const place = newPlace();
    keyring.entries.set(`${place.service}/${place.account}`, text);
    return createKeyringKeyProvider(place, keyring.load);
  });

  keyProviderSuite('keyring (a contract fake)', {
    async withKey() {
      const place = newPlace();
      expect(await createKeyringKey(place, randomBytes, keyring.load)).toBe(true);
      const open = () => createKeyringKeyProvider(place, keyring.load);
      return { provider: open(), same: async () => open() };
    },
    withoutKey: async () => createKeyringKeyProvider(newPlace(), keyring.load),
    secrets: () => [...keyring.entries.values()].filter((text) => text.length === 43),
  });

  it('keeps the key that is there', async () => {
    const place = newPlace();
    await createKeyringKey(place, randomBytes, keyring.load);
    const before = keyring.entries.get(`${place.service}/${place.account}`);
    expect(await createKeyringKey(place, randomBytes, keyring.load)).toBe(false);
    expect(keyring.entries.get(`${place.service}/${place.account}`)).toBe(before);
  });

  it('without its package says what to install or to use instead', async () => {
    const provider = createKeyringKeyProvider(newPlace(), () => Promise.reject(new Error('Cannot find package')));
    await expect(provider.wrap(Buffer.alloc(32), context)).rejects.toMatchObject({
      code: 'ERR_VAULT_KEY_UNREACHABLE',
      message: expect.stringContaining('@napi-rs/keyring is not installed'),
      where: expect.stringContaining('keyring remit-test/'),
      hint: expect.stringMatching(/npm install .*kind: file/),
    });
  });

  it('where no keyring service runs, or it is locked, says so, and is asked again later', async () => {
    const place = newPlace();
    await createKeyringKey(place, randomBytes, keyring.load);
    const provider = createKeyringKeyProvider(place, keyring.load);
    keyring.fault = 'Platform failure: DBus error';
    await expect(provider.wrap(Buffer.alloc(32), context)).rejects.toMatchObject({
      code: 'ERR_VAULT_KEY_UNREACHABLE',
      message: expect.stringContaining('DBus error'),
      hint: expect.stringContaining('Start a keyring service'),
    });
    await expect(createKeyringKey(newPlace(), randomBytes, keyring.load)).rejects.toMatchObject({
      code: 'ERR_VAULT_KEY_UNREACHABLE',
    });
    keyring.fault = undefined;
    expect(await provider.wrap(Buffer.alloc(32), context)).toHaveLength(60);
  });
});

/** The kernel's keyring, where this machine gives a process one: a round trip is the only way to know. */
const kernel = await (async (): Promise<KeyringModule | undefined> => {
  const place = newPlace();
  try {
    const provider = createKeyringKeyProvider(place);
    await createKeyringKey(place, randomBytes);
    await provider.wrap(Buffer.alloc(32), context);
    return (await import('@napi-rs/keyring')) as unknown as KeyringModule;
  } catch {
    return undefined;
  }
})();

if (kernel !== undefined) {
  const { Entry } = kernel;
  const entryOf = ({ service, account }: KeyringPlace) =>
    new Entry(service, account, { linux: { store: 'keyutils' } }) as unknown as {
      getPassword(): string | null;
      deletePassword(): boolean;
    };
  const places: KeyringPlace[] = [];
  keyProviderSuite('keyring (the kernel’s, real)', {
    async withKey() {
      const place = newPlace();
      places.push(place);
      await createKeyringKey(place, randomBytes);
      return { provider: createKeyringKeyProvider(place), same: async () => createKeyringKeyProvider(place) };
    },
    withoutKey: async () => createKeyringKeyProvider(newPlace()),
    secrets: () => places.map((place) => entryOf(place).getPassword() as string),
  });
  afterAll(() => {
    for (const account of accounts) {
      try {
        entryOf({ service: 'remit-test', account, linuxStore: 'keyutils' }).deletePassword();
      } catch {
        // None was made.
      }
    }
  });
}
