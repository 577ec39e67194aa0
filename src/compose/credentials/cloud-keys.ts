import { readFile } from 'node:fs/promises';
import { keyError } from '../../adapters/keys/key-text.ts';
import type { LoadedConfig } from '../../config/load-config.ts';
import { vaultKeyId } from '../../config/load-config.ts';
import type { VaultKeyConfig } from '../../config/schema.ts';
import { Secret } from '../../domain/secret.ts';
import type { KeyProvider } from '../../seams/key-provider.ts';
import type { System } from '../system.ts';

type Of<K extends VaultKeyConfig['kind']> = Extract<VaultKeyConfig, { kind: K }>;
type CloudKey = Of<'awsKms' | 'gcpKms' | 'transit'>;

/** A vault key that a service holds. Nothing is loaded, read or asked before its first use. */
export function cloudKeyProvider(loaded: LoadedConfig, key: CloudKey, system: System): KeyProvider {
  let made: Promise<KeyProvider> | undefined;
  async function provider(): Promise<KeyProvider> {
    made ??= make(loaded, key, system);
    try {
      return await made;
    } catch (error) {
      made = undefined;
      throw error;
    }
  }
  return {
    keyId: vaultKeyId(key),
    wrap: async (dataKey, context) => (await provider()).wrap(dataKey, context),
    unwrap: async (wrapped, context) => (await provider()).unwrap(wrapped, context),
  };
}

function make(loaded: LoadedConfig, key: CloudKey, system: System): Promise<KeyProvider> {
  if (key.kind === 'awsKms') return makeAwsKms(loaded, key, system);
  return key.kind === 'gcpKms' ? makeGcpKms(loaded, key, system) : makeTransit(loaded, key, system);
}

/** Loaded with the key, for most keys are files, and every command opens a key ring. */
async function guarded(loaded: LoadedConfig, address: string, settings: CloudKey) {
  const { guardedService } = await import('./makers/guarded-service.ts');
  return guardedService({ loaded }, address, settings);
}

async function makeAwsKms(loaded: LoadedConfig, settings: Of<'awsKms'>, system: System): Promise<KeyProvider> {
  const { key, region } = settings;
  const { endpoint = `https://kms.${region}.amazonaws.com${region.startsWith('cn-') ? '.cn' : ''}` } = settings;
  const { createAwsKmsKeyProvider } = await import('../../adapters/keys/aws-kms-key-provider.ts');
  const { fetch } = await guarded(loaded, endpoint, settings);
  const credentials = async () => {
    const token = system.environment(settings.sessionTokenVariable);
    return {
      accessKeyId: fromVariable(system, settings.accessKeyIdVariable).reveal(),
      secretAccessKey: fromVariable(system, settings.secretAccessKeyVariable),
      ...(token !== undefined && token !== '' && { sessionToken: new Secret(token) }),
    };
  };
  return createAwsKmsKeyProvider({ key, region, endpoint, credentials, fetch, clock: system.clock });
}

async function makeGcpKms(loaded: LoadedConfig, settings: Of<'gcpKms'>, system: System): Promise<KeyProvider> {
  const { key, keyFile, endpoint = 'https://cloudkms.googleapis.com' } = settings;
  const { GOOGLE_TOKEN_URL } = await import('../../adapters/clouds/google-token.ts');
  const { createGcpKmsKeyProvider } = await import('../../adapters/keys/gcp-kms-key-provider.ts');
  const { fetch } = await guarded(loaded, endpoint, settings);
  const { tokenEndpoint: tokenUrl = GOOGLE_TOKEN_URL } = settings;
  const account = () => fromFile(loaded, keyFile);
  return createGcpKmsKeyProvider({ cryptoKey: key, key: account, tokenUrl, endpoint, fetch, clock: system.clock });
}

async function makeTransit(loaded: LoadedConfig, settings: Of<'transit'>, system: System): Promise<KeyProvider> {
  const { address, namespace, mount, key, derived, tokenFile, tokenVariable = '' } = settings;
  const { createTransitKeyProvider } = await import('../../adapters/keys/transit-key-provider.ts');
  const { fetch } = await guarded(loaded, address, settings);
  const token = async () =>
    tokenFile === undefined ? fromVariable(system, tokenVariable) : fromFile(loaded, tokenFile);
  const server = { address, namespace, login: { token }, fetch, clock: system.clock };
  return createTransitKeyProvider({ ...server, mount, key, isDerived: derived });
}

function fromVariable(system: System, name: string): Secret {
  const text = system.environment(name);
  if (text !== undefined && text !== '') return new Secret(text);
  throw keyError('ERR_VAULT_KEY_UNREACHABLE', 'nothing says as whom to ask for the vault key', name, {
    hint: `Set ${name} where the gateway is started.`,
  });
}

async function fromFile(loaded: LoadedConfig, file: string): Promise<Secret> {
  const path = loaded.resolvePath(file);
  const text = (await readFile(path, 'utf8').catch(() => '')).trim();
  if (text !== '') return new Secret(text);
  throw keyError(
    'ERR_VAULT_KEY_UNREACHABLE',
    'the file that says as whom to ask for the vault key is empty or cannot be read',
    path,
    {
      hint: 'See that it is there and that the gateway’s user may read it.',
    },
  );
}

/** Where it is, for people. */
export function cloudKeyText(key: CloudKey): string {
  if (key.kind === 'awsKms') return `AWS KMS key ${key.key} (${key.region})`;
  return key.kind === 'gcpKms' ? `Cloud KMS key ${key.key}` : `transit key ${key.mount}/${key.key} at ${key.address}`;
}
