import type { KeyProvider } from '../../seams/key-provider.ts';
import { keyError, parseKeyText } from './key-text.ts';
import { createLocalKeyProvider } from './local-key-provider.ts';

/**
 * Key in an environment variable: 43 base64url characters.
 * @param options.lookup gives the variable's value; injected, so that only `compose` reads the environment
 */
export function createEnvironmentKeyProvider(options: {
  variable: string;
  lookup: (name: string) => string | undefined;
}): KeyProvider {
  const { variable, lookup } = options;
  return createLocalKeyProvider(`environment:${variable}`, async () => {
    const text = lookup(variable);
    if (text === undefined) {
      throw keyError('ERR_VAULT_KEY_MISSING', 'the environment variable with the vault key is not set', variable, {
        hint: `Set ${variable} to the vault key: 32 bytes as base64url.`,
      });
    }
    return parseKeyText(text, variable);
  });
}
