import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { isRemitError } from '../../src/domain/errors.ts';
import type { KeyProvider } from '../../src/seams/key-provider.ts';

/** What the suite needs of a key provider under test. */
export interface KeyProviderHarness {
  /** A provider whose key is these 32 bytes. */
  withKey(key: Buffer): Promise<KeyProvider>;
  /** A provider that has no key. */
  withoutKey(): Promise<KeyProvider>;
  /** A provider whose key is this text, as it stands in the place where keys are kept. */
  withText(text: string): Promise<KeyProvider>;
}

/** Conformance of a `KeyProvider`. */
export function keyProviderSuite(name: string, harness: KeyProviderHarness): void {
  describe(`key provider ${name}`, () => {
    const key = Buffer.from(Array.from({ length: 32 }, (_, index) => index * 7 + 1));

    it('gives the 32 bytes, every time the same', async () => {
      const provider = await harness.withKey(key);
      expect(await provider.key()).toEqual(key);
      expect(await provider.key()).toEqual(key);
    });

    it('gives a copy: a caller that wipes its key does not wipe the next caller’s', async () => {
      const provider = await harness.withKey(key);
      (await provider.key()).fill(0);
      expect(await provider.key()).toEqual(key);
    });

    it('has a stable key id that is not the key', async () => {
      const one = await harness.withKey(key);
      expect(one.keyId).toMatch(/^[a-z]+:.+$/);
      expect(one.keyId).toBe((await harness.withKey(key)).keyId);
      expect(one.keyId).not.toContain(key.toString('base64url'));
    });

    it('says ERR_VAULT_KEY_MISSING, with a hint and where, when there is none', async () => {
      const error = await failureOf(await harness.withoutKey());
      expect(isRemitError(error, 'ERR_VAULT_KEY_MISSING')).toBe(true);
      expect(error).toMatchObject({ hint: expect.stringMatching(/.+/), where: expect.stringMatching(/.+/) });
    });

    it.each([
      ['too short', key.subarray(1).toString('base64url')],
      ['too long', Buffer.concat([key, key]).toString('base64url')],
      ['standard base64', Buffer.alloc(32, 0xfb).toString('base64')],
      ['stray bits in the last character', `${'A'.repeat(42)}B`],
      ['not base64url', `${'ä'.repeat(43)}`],
    ])('says ERR_VAULT_KEY_WRONG for a key that is %s, and does not print it', async (_, text) => {
      const error = await failureOf(await harness.withText(text));
      expect(isRemitError(error, 'ERR_VAULT_KEY_WRONG')).toBe(true);
      expect(inspect(error, { depth: 9 })).not.toContain(text.slice(0, 20));
    });

    it('says ERR_VAULT_KEY_MISSING for an empty one', async () => {
      expect(isRemitError(await failureOf(await harness.withText('')), 'ERR_VAULT_KEY_MISSING')).toBe(true);
    });
  });
}

async function failureOf(provider: KeyProvider): Promise<unknown> {
  return provider.key().then(
    () => expect.unreachable('a key was given'),
    (error: unknown) => error,
  );
}
