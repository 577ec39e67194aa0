import { messageOf } from '../../domain/errors.ts';
import type { RandomBytes } from '../../domain/ids.ts';
import type { KeyProvider } from '../../seams/key-provider.ts';
import { KEY_BYTES, keyError, parseKeyText } from './key-text.ts';
import { createLocalKeyProvider } from './local-key-provider.ts';

/** Where the operating system keeps a secret for its user. */
export interface KeyringPlace {
  readonly service: string;
  readonly account: string;
  /**
   * Linux only. Pinned, as the package would else fall back to the kernel's keyring, whose keys are gone after a restart of the machine, and
   * the vault with them.
   */
  readonly linuxStore: 'secret-service' | 'keyutils';
}

/** What is used of `@napi-rs/keyring`. */
export interface KeyringModule {
  readonly AsyncEntry: KeyringEntryType;
  readonly Entry: KeyringEntryType;
}
type KeyringEntryType = new (service: string, account: string, options: object) => KeyringEntry;
interface KeyringEntry {
  getPassword(): string | null | undefined | Promise<string | null | undefined>;
  setPassword(password: string): unknown;
}

/** An optional package: installations that keep their key elsewhere need no native code for it. */
const PACKAGE = '@napi-rs/keyring';
const loadPackage = async (): Promise<KeyringModule> => (await import(PACKAGE)) as KeyringModule;

/**
 * Key in the operating system's keyring (Keychain, Credential Manager, Secret Service): 43 base64url characters. Read once, at the first use.
 * @param load gives the package; injected so that a test can take it away
 */
export function createKeyringKeyProvider(place: KeyringPlace, load = loadPackage): KeyProvider {
  const where = placeText(place);
  return createLocalKeyProvider(`keyring:${place.service}/${place.account}`, async () => {
    const text = await readEntry(await openEntry(place, load), where);
    if (text !== undefined) return parseKeyText(text, where);
    throw keyError('ERR_VAULT_KEY_MISSING', 'the keyring has no vault key', where, {
      hint: 'Run `remit secret init` for a new vault, or bring back the key that the vault was made with.',
    });
  });
}

/** Puts a new random key into the keyring; false when there is one, which stays. */
export async function createKeyringKey(place: KeyringPlace, random: RandomBytes, load = loadPackage): Promise<boolean> {
  const where = placeText(place);
  const entry = await openEntry(place, load);
  if ((await readEntry(entry, where)) !== undefined) return false;
  const text = Buffer.from(random(KEY_BYTES)).toString('base64url');
  try {
    await entry.setPassword(text);
  } catch (cause) {
    throw unreachable(cause, where);
  }
  if ((await readEntry(entry, where)) === text) return true;
  throw keyError('ERR_VAULT_KEY_UNREACHABLE', 'the keyring did not keep the vault key', where);
}

async function openEntry(place: KeyringPlace, load: () => Promise<KeyringModule>): Promise<KeyringEntry> {
  const { AsyncEntry, Entry } = await load().catch((cause: unknown) => {
    throw keyError('ERR_VAULT_KEY_UNREACHABLE', `the package ${PACKAGE} is not installed`, placeText(place), {
      hint: `Run \`npm install ${PACKAGE}\`, or keep the vault key in a file: vaultKey: { kind: file }.`,
      cause,
    });
  });
  // A thread of its own waits while a person is asked to unlock the keyring. The kernel's keyring asks nobody, and belongs to the thread.
  const Chosen = place.linuxStore === 'keyutils' ? Entry : AsyncEntry;
  try {
    return new Chosen(place.service, place.account, { linux: { store: place.linuxStore } });
  } catch (cause) {
    throw unreachable(cause, placeText(place));
  }
}

async function readEntry(entry: KeyringEntry, where: string): Promise<string | undefined> {
  try {
    return (await entry.getPassword()) ?? undefined;
  } catch (cause) {
    throw unreachable(cause, where);
  }
}

const placeText = ({ service, account }: KeyringPlace): string => `keyring ${service}/${account}`;

function unreachable(cause: unknown, where: string): Error {
  // The package's messages name the platform's fault, never the secret.
  const what = messageOf(cause).split('\n')[0]?.slice(0, 120);
  return keyError('ERR_VAULT_KEY_UNREACHABLE', `the operating system’s keyring cannot be used: ${what}`, where, {
    hint: 'Start a keyring service (a desktop session has one) and unlock it, or keep the vault key in a file: vaultKey: { kind: file }.',
    cause,
  });
}
