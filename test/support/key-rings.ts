import { randomBytes } from 'node:crypto';
import { createLocalKeyProvider } from '../../src/adapters/keys/local-key-provider.ts';
import type { Schedule } from '../../src/seams/clock.ts';
import type { KeyProvider } from '../../src/seams/key-provider.ts';
import { createKeyRing, type KeyRing } from '../../src/secrets/key-ring.ts';

/** Timers that never fire. */
export const never: Schedule = () => () => {};

export const localKey = (key: Buffer, keyId = 'file:kek-1'): KeyProvider =>
  createLocalKeyProvider(keyId, async () => Buffer.from(key));

/** A key ring of providers that a test holds. */
export function ringOf(current: KeyProvider, former: readonly KeyProvider[] = [], schedule = never): KeyRing {
  const initial = { current, former };
  return createKeyRing({ initial, load: async () => initial, schedule, random: randomBytes });
}
