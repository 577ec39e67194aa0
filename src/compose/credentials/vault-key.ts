import { randomBytes } from 'node:crypto';
import { access, mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createEnvironmentKeyProvider } from '../../adapters/keys/environment-key-provider.ts';
import { createFileKeyProvider, createKeyFile } from '../../adapters/keys/file-key-provider.ts';
import { createKeyringKey, createKeyringKeyProvider } from '../../adapters/keys/keyring-key-provider.ts';
import { type LoadedConfig, loadConfig } from '../../config/load-config.ts';
import type { VaultKeyConfig } from '../../config/schema.ts';
import { RemitError } from '../../domain/errors.ts';
import type { KeyProvider } from '../../seams/key-provider.ts';
import { createKeyRing, type KeyRing, type KeySet } from '../../secrets/key-ring.ts';
import type { System } from '../system.ts';
import { cloudKeyProvider, cloudKeyText } from './cloud-keys.ts';

/** Absolute path of a key in a file. */
export function keyFileOf({ config, resolvePath }: LoadedConfig, key: VaultKeyConfig): string {
  return key.kind === 'file' && key.path !== undefined
    ? resolvePath(key.path)
    : join(resolvePath(config.data), 'vault.key');
}

/** The vault's keys as configured; a running gateway takes up what the file says by then. No key is read yet. */
export function openKeyRing(loaded: LoadedConfig, system: System): KeyRing {
  return createKeyRing({
    initial: keySet(loaded, system),
    load: async () => keySet(await loadConfig(loaded.path), system),
    schedule: system.schedule,
    random: system.random,
  });
}

function keySet(loaded: LoadedConfig, system: System): KeySet {
  const { vaultKey, formerVaultKeys } = loaded.config;
  return {
    current: keyProvider(loaded, vaultKey, system),
    former: formerVaultKeys.map((key) => keyProvider(loaded, key, system)),
  };
}

function keyProvider(loaded: LoadedConfig, key: VaultKeyConfig, system: System): KeyProvider {
  switch (key.kind) {
    case 'file':
      return createFileKeyProvider({ path: keyFileOf(loaded, key), name: key.name });
    case 'environment':
      return createEnvironmentKeyProvider({ variable: key.variable, lookup: system.environment });
    case 'keyring':
      return createKeyringKeyProvider(key);
    default:
      return cloudKeyProvider(loaded, key, system);
  }
}

/**
 * Makes a vault key (32 random bytes) where the configuration says, if there is none; false when there is one. Never overwrites: what the
 * old one sealed would be lost.
 */
export async function ensureVaultKey(loaded: LoadedConfig, key = loaded.config.vaultKey): Promise<boolean> {
  if (key.kind === 'keyring') return createKeyringKey(key, randomBytes);
  if (key.kind === 'environment') {
    throw new RemitError('ERR_USAGE', 'the vault key is in an environment variable, which this command cannot set', {
      where: key.variable,
      hint: `Set ${key.variable} to 32 random bytes as base64url: \`openssl rand -base64 32 | tr '+/' '-_' | tr -d '='\`.`,
    });
  }
  if (!isOursToMake(key)) {
    throw new RemitError('ERR_USAGE', 'the vault key is in a service, where Remit makes none', {
      where: cloudKeyText(key),
      hint: 'Make a symmetric key there, and let Remit encrypt and decrypt with it.',
    });
  }
  const path = keyFileOf(loaded, key);
  const isThere = await access(path).then(
    () => true,
    () => false,
  );
  if (isThere) return false;
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await createKeyFile(path, randomBytes);
  return true;
}

/** Whether a key can be made by us, where the configuration says. */
export function isOursToMake(key: VaultKeyConfig): key is Extract<VaultKeyConfig, { kind: 'file' | 'keyring' }> {
  return key.kind === 'file' || key.kind === 'keyring';
}

/** Where a vault key is, for people. */
export function keyPlaceText(loaded: LoadedConfig, key: VaultKeyConfig): string {
  if (key.kind === 'file') return keyFileOf(loaded, key);
  if (key.kind === 'environment') return `environment variable ${key.variable}`;
  return key.kind === 'keyring' ? `keyring ${key.service}/${key.account}` : cloudKeyText(key);
}
