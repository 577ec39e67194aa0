import type { KeyringModule } from '../../src/adapters/keys/keyring-key-provider.ts';

/** The operating system's keyring as `@napi-rs/keyring` gives it: a map, which can be locked. */
export function createFakeKeyring(): {
  readonly load: () => Promise<KeyringModule>;
  readonly entries: Map<string, string>;
  /** While set, every request fails with it. */
  fault: string | undefined;
} {
  const entries = new Map<string, string>();
  const keyring = { load: async () => ({ Entry, AsyncEntry: Entry }), entries, fault: undefined as string | undefined };
  class Entry {
    readonly #id: string;
    constructor(service: string, account: string) {
      this.#id = `${service}/${account}`;
    }
    async getPassword(): Promise<string | null> {
      if (keyring.fault !== undefined) throw new Error(keyring.fault);
      return entries.get(this.#id) ?? null;
    }
    async setPassword(password: string): Promise<void> {
      if (keyring.fault !== undefined) throw new Error(keyring.fault);
      entries.set(this.#id, password);
    }
  }
  return keyring;
}
