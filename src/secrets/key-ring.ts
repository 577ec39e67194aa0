import { RemitError } from '../domain/errors.ts';
import type { RandomBytes } from '../domain/ids.ts';
import type { Schedule } from '../seams/clock.ts';
import type { KeyProvider } from '../seams/key-provider.ts';

/** The vault's keys as configured: what seals, and what still opens. */
export interface KeySet {
  readonly current: KeyProvider;
  /** Keys that rows may still be wrapped under, while the vault's key is rotated. */
  readonly former: readonly KeyProvider[];
}

/** The vault's keys as they are now; a rotation changes them in a gateway that goes on serving. */
export interface KeyRing {
  readonly current: KeyProvider;
  readonly former: readonly KeyProvider[];
  /** The provider of that id. One that is not known is looked for in the configuration, as it is by now. */
  find(keyId: string): Promise<KeyProvider | undefined>;
  /** Takes up the configuration's keys, once the new current one has shown that it works. @throws what shows that it does not */
  reload(): Promise<void>;
}

export interface KeyRingOptions {
  readonly initial: KeySet;
  /** Reads the configuration anew. */
  readonly load: () => Promise<KeySet>;
  readonly schedule: Schedule;
  readonly random: RandomBytes;
  /** Longest wait for a provider; default 10 s. */
  readonly deadlineMs?: number;
}

export function createKeyRing(options: KeyRingOptions): KeyRing {
  const { load, schedule, random, deadlineMs = 10_000 } = options;
  const within = (keys: KeySet): KeySet => ({
    current: withDeadline(keys.current, schedule, deadlineMs),
    former: keys.former.map((provider) => withDeadline(provider, schedule, deadlineMs)),
  });
  let keys = within(options.initial);
  const known = (keyId: string) => [keys.current, ...keys.former].find((provider) => provider.keyId === keyId);

  async function reload(): Promise<void> {
    const next = within(await load());
    await probe(next.current, random);
    keys = next;
  }

  return {
    get current() {
      return keys.current;
    },
    get former() {
      return keys.former;
    },
    async find(keyId) {
      if (known(keyId) === undefined) {
        // Whatever is wrong with the configuration by now, the row stays closed: its reader says so.
        await reload().catch(() => {});
      }
      return known(keyId);
    },
    reload,
  };
}

/** Wraps and unwraps a key of no use. @throws `ERR_VAULT_KEY_…` */
export async function probe(provider: KeyProvider, random: RandomBytes): Promise<void> {
  const context = Buffer.from('remit/probe');
  const sample = Buffer.from(random(32));
  const back = await provider.unwrap(await provider.wrap(sample, context), context);
  if (back?.equals(sample) === true) return;
  throw new RemitError('ERR_VAULT_KEY_WRONG', `the vault key ${provider.keyId} does not unwrap what it has wrapped`, {
    where: provider.keyId,
    hint: 'Check that the key may both encrypt and decrypt.',
  });
}

/** A provider that hangs is one that cannot be reached: whoever waits is refused. */
function withDeadline(provider: KeyProvider, schedule: Schedule, deadlineMs: number): KeyProvider {
  const { keyId } = provider;
  const timely = async <T>(work: Promise<T>): Promise<T> => {
    let cancel = (): void => {};
    const late = new Promise<never>((_resolve, reject) => {
      cancel = schedule(deadlineMs, () =>
        reject(
          new RemitError('ERR_VAULT_KEY_UNREACHABLE', `the vault key ${keyId} did not answer within ${deadlineMs} ms`, {
            where: keyId,
            hint: 'Check that the service which holds the vault key runs; nothing was sealed or opened.',
          }),
        ),
      );
    });
    try {
      return await Promise.race([work, late]);
    } finally {
      cancel();
    }
  };
  return {
    keyId,
    wrap: (dataKey, context) => timely(provider.wrap(dataKey, context)),
    unwrap: (wrapped, context) => timely(provider.unwrap(wrapped, context)),
  };
}
