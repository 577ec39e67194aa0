import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { isRemitError } from '../../src/domain/errors.ts';
import type { KeyProvider } from '../../src/seams/key-provider.ts';

/** What the suite needs of a key provider under test. */
export interface KeyProviderHarness {
  /** A provider with a key of its own; `same` opens another one on the same key, as another process would. */
  withKey(): Promise<{ readonly provider: KeyProvider; readonly same: () => Promise<KeyProvider> }>;
  /** A provider that has no key. */
  withoutKey(): Promise<KeyProvider>;
  /** Everything that a harness knows to be secret of the keys it made, as text: none of it may be shown. */
  secrets(): readonly string[];
}

const dataKey = Buffer.from(Array.from({ length: 32 }, (_, index) => index * 7 + 1));
const context = Buffer.from('tenant, record, version');

/** Conformance of a `KeyProvider`. */
export function keyProviderSuite(name: string, harness: KeyProviderHarness): void {
  describe(`key provider ${name}`, () => {
    it('unwraps what it has wrapped, every time', async () => {
      const { provider } = await harness.withKey();
      const wrapped = await provider.wrap(dataKey, context);
      expect(await provider.unwrap(wrapped, context)).toEqual(dataKey);
      expect(await provider.unwrap(wrapped, context)).toEqual(dataKey);
    });

    it('unwraps in another process what it has wrapped in this one', async () => {
      const { provider, same } = await harness.withKey();
      const other = await same();
      expect(other.keyId).toBe(provider.keyId);
      expect(await other.unwrap(await provider.wrap(dataKey, context), context)).toEqual(dataKey);
    });

    it('gives a copy: a caller that wipes its data key does not wipe the next caller’s', async () => {
      const { provider } = await harness.withKey();
      const mine = Buffer.from(dataKey);
      const wrapped = await provider.wrap(mine, context);
      mine.fill(0);
      (await provider.unwrap(wrapped, context))?.fill(0);
      expect(await provider.unwrap(wrapped, context)).toEqual(dataKey);
    });

    it('wraps to something else each time, which does not hold the data key and fits an envelope', async () => {
      const { provider } = await harness.withKey();
      const [one, other] = [await provider.wrap(dataKey, context), await provider.wrap(dataKey, context)];
      expect(one).not.toEqual(other);
      for (const wrapped of [one, other]) {
        expect(wrapped.includes(dataKey.subarray(0, 8))).toBe(false);
        expect(wrapped.length).toBeLessThanOrEqual(65_535);
      }
    });

    it('does not unwrap for another context', async () => {
      const { provider } = await harness.withKey();
      const wrapped = await provider.wrap(dataKey, context);
      expect(await provider.unwrap(wrapped, Buffer.from('tenant, record, other version'))).toBeUndefined();
      expect(await provider.unwrap(wrapped, Buffer.alloc(0))).toBeUndefined();
    });

    it('does not unwrap what another key has wrapped', async () => {
      const [mine, theirs] = [await harness.withKey(), await harness.withKey()];
      expect(await mine.provider.unwrap(await theirs.provider.wrap(dataKey, context), context)).toBeUndefined();
    });

    it('does not unwrap with any one byte changed, cut off or added', async () => {
      const { provider } = await harness.withKey();
      const wrapped = await provider.wrap(dataKey, context);
      for (let at = 0; at < wrapped.length; at++) {
        const altered = Buffer.from(wrapped);
        altered[at] = (altered[at] as number) ^ 0x10;
        expect(await provider.unwrap(altered, context), `byte ${at}`).toBeUndefined();
      }
      for (const length of [0, 1, 27, 28, wrapped.length - 1])
        expect(await provider.unwrap(wrapped.subarray(0, length), context), `${length} bytes`).toBeUndefined();
      expect(await provider.unwrap(Buffer.concat([wrapped, Buffer.alloc(1)]), context)).toBeUndefined();
    });

    it('says ERR_VAULT_KEY_MISSING, with a hint and where, when there is no key', async () => {
      const provider = await harness.withoutKey();
      // One after the other: who is not waited for yet fails unheard.
      for (const use of [() => provider.wrap(dataKey, context), () => provider.unwrap(Buffer.alloc(60), context)]) {
        const error = await use().then(
          () => expect.unreachable(),
          (thrown: unknown) => thrown,
        );
        expect(isRemitError(error, 'ERR_VAULT_KEY_MISSING')).toBe(true);
        expect(error).toMatchObject({ hint: expect.stringMatching(/.+/), where: expect.stringMatching(/.+/) });
      }
    });

    it('L6 shows no key: not in its id, not to inspect, not in what it wraps', async () => {
      const { provider } = await harness.withKey();
      expect(provider.keyId).toMatch(/^[a-z]+:.+$/);
      const wrapped = await provider.wrap(dataKey, context);
      const shown = [provider.keyId, inspect(provider, { depth: 9, showHidden: true }), wrapped.toString('latin1')];
      expect(harness.secrets().length).toBeGreaterThan(0);
      for (const secret of harness.secrets()) for (const text of shown) expect(text).not.toContain(secret);
    });
  });
}

/** Keys as text, as local providers keep them: what is none is refused, and not printed. */
export function keyTextSuite(name: string, withText: (text: string) => Promise<KeyProvider>): void {
  describe(`key text of ${name}`, () => {
    const failureOf = async (text: string): Promise<unknown> =>
      (await withText(text)).wrap(dataKey, context).then(
        () => expect.unreachable(),
        (error: unknown) => error,
      );

    it.each([
      ['too short', dataKey.subarray(1).toString('base64url')],
      ['too long', Buffer.concat([dataKey, dataKey]).toString('base64url')],
      ['standard base64', Buffer.alloc(32, 0xfb).toString('base64')],
      ['stray bits in the last character', `${'A'.repeat(42)}B`],
      ['not base64url', `${'ä'.repeat(43)}`],
    ])('says ERR_VAULT_KEY_WRONG for a key that is %s, and does not print it', async (_, text) => {
      const error = await failureOf(text);
      expect(isRemitError(error, 'ERR_VAULT_KEY_WRONG')).toBe(true);
      expect(inspect(error, { depth: 9 })).not.toContain(text.slice(0, 20));
    });

    it('says ERR_VAULT_KEY_MISSING for an empty one', async () => {
      expect(isRemitError(await failureOf(''), 'ERR_VAULT_KEY_MISSING')).toBe(true);
    });
  });
}
