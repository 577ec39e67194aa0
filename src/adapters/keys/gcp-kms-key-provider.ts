import type { JsonObject } from '../../domain/json.ts';
import type { KeyProvider } from '../../seams/key-provider.ts';
import { askJson, ServiceRefusal, textOf } from '../clouds/ask-json.ts';
import { accepted, type GoogleAccount, type GoogleToken, googleToken } from '../clouds/google-token.ts';
import { serviceAddress } from '../clouds/service-address.ts';
import { dataKeyOf, KMS_WITHIN_MS, type KmsVerdict, kmsFault } from './kms-faults.ts';

export interface GcpKmsOptions extends GoogleAccount {
  /** `https://cloudkms.googleapis.com`. */
  readonly endpoint: string;
  /** `projects/P/locations/L/keyRings/R/cryptoKeys/K`: without a version, which the key chooses by itself. */
  readonly cryptoKey: string;
  readonly withinMs?: number;
}

const SCOPE = 'https://www.googleapis.com/auth/cloudkms';
/** A token that has less left is not used any more. */
const SPARE_MS = 60_000;

/** Key in Google Cloud KMS (encrypt, decrypt), which never leaves it. The context goes as additional authenticated data. */
export function createGcpKmsKeyProvider(options: GcpKmsOptions): KeyProvider {
  const { cryptoKey, fetch, clock, withinMs = KMS_WITHIN_MS } = options;
  const endpoint = serviceAddress(options.endpoint, 'vaultKey.endpoint');
  let held: GoogleToken | undefined;

  async function ask(action: 'encrypt' | 'decrypt', body: JsonObject): Promise<JsonObject> {
    const signal = AbortSignal.timeout(withinMs);
    if (held === undefined || held.endsAt - clock() < SPARE_MS) held = await googleToken(options, SCOPE, signal);
    const answer = await askJson(fetch, `${endpoint}/v1/${cryptoKey}:${action}`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${held.token.reveal()}`, 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
      signal,
    });
    // A token that was refused is not tried again.
    if (answer.status === 401) held = undefined;
    return accepted(answer);
  }

  return {
    keyId: `gcpkms:${cryptoKey}`,
    async wrap(dataKey, context) {
      try {
        const plaintext = Buffer.from(dataKey).toString('base64');
        const answer = await ask('encrypt', { plaintext, additionalAuthenticatedData: base64(context) });
        return Buffer.from(textOf(answer, 'ciphertext'), 'base64');
      } catch (error) {
        throw kmsFault(error, cryptoKey, verdictOf);
      }
    },
    async unwrap(wrapped, context) {
      try {
        const asked = { ciphertext: base64(wrapped), additionalAuthenticatedData: base64(context) };
        return dataKeyOf(textOf(await ask('decrypt', asked), 'plaintext'));
      } catch (error) {
        // Decrypting knows one bad argument that is not ours: a ciphertext of another key, for other data, or altered.
        if (error instanceof ServiceRefusal && error.reason === 'INVALID_ARGUMENT') return undefined;
        throw kmsFault(error, cryptoKey, verdictOf);
      }
    },
  };
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

function verdictOf({ reason }: ServiceRefusal): KmsVerdict {
  if (reason === 'NOT_FOUND') return 'missing';
  return reason === 'FAILED_PRECONDITION' ? 'unusable' : undefined;
}
