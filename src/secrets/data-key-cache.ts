import type { Schedule } from '../seams/clock.ts';
import type { KeyProvider } from '../seams/key-provider.ts';

/** Data keys that were unwrapped a moment ago: who leases often asks a KMS seldom. Without its row a data key opens nothing. */
export interface DataKeyCache {
  /** The provider's `unwrap`, asked once for all who ask within the time. */
  of(provider: KeyProvider): Pick<KeyProvider, 'unwrap'>;
  /** Zeroes everything. */
  clear(): void;
}

/** Longest that an unwrapped data key is kept: as short as spares a provider a burst of leases. */
const KEEP_MS = 30_000;

export function createDataKeyCache(schedule: Schedule): DataKeyCache {
  const kept = new Map<string, Promise<Buffer | undefined>>();

  function forget(id: string, dataKey: Promise<Buffer | undefined>): void {
    if (kept.get(id) === dataKey) kept.delete(id);
    void dataKey.then((bytes) => bytes?.fill(0)).catch(() => {});
  }

  return {
    of: (provider) => ({
      async unwrap(wrapped, context) {
        const id = [Buffer.from(provider.keyId), wrapped, context].map(base64).join(' ');
        const found = kept.get(id);
        if (found !== undefined) return copyOf(await found);
        const asked = provider.unwrap(wrapped, context);
        kept.set(id, asked);
        const cancel = schedule(KEEP_MS, () => forget(id, asked));
        try {
          const dataKey = await asked;
          // What does not open is asked for again: the provider may have been given its key meanwhile.
          if (dataKey === undefined) {
            cancel();
            forget(id, asked);
          }
          return copyOf(dataKey);
        } catch (error) {
          cancel();
          forget(id, asked);
          throw error;
        }
      },
    }),
    clear() {
      for (const [id, dataKey] of kept) forget(id, dataKey);
    },
  };
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
const copyOf = (bytes: Buffer | undefined): Buffer | undefined => bytes && Buffer.from(bytes);
