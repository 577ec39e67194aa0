import { createHash, timingSafeEqual } from 'node:crypto';
import type { JsonObject } from '../../domain/json.ts';
import type { KeyProvider } from '../../seams/key-provider.ts';
import { objectOf, ServiceRefusal, textOf } from '../clouds/ask-json.ts';
import { createVaultClient, pathOf, type VaultServer } from '../clouds/vault-client.ts';
import { KMS_WITHIN_MS, type KmsVerdict, kmsFault } from './kms-faults.ts';

export interface TransitOptions extends VaultServer {
  /** Where the transit engine is. */
  readonly mount: string;
  readonly key: string;
  /** For a key that was made with `derived=true`. */
  readonly isDerived: boolean;
  readonly withinMs?: number;
}

const VERSION_BYTES = 4;
const DATA_KEY_BYTES = 32;

/**
 * Key of the transit engine of Vault or OpenBao, which never leaves it. The context goes as associated data (and as `context` of a derived
 * key). Servers that know no associated data take no notice of them: so a digest of the context is wrapped beside the data key, too.
 *
 * A wrapped key is `version of the key (4) | ciphertext`: the server's text of it has more than one spelling (base64).
 */
export function createTransitKeyProvider(options: TransitOptions): KeyProvider {
  const { mount, key, isDerived, withinMs = KMS_WITHIN_MS } = options;
  const vault = createVaultClient(options);
  const where = `${vault.where}/${mount}/${key}`;

  async function ask(action: 'encrypt' | 'decrypt', context: Uint8Array, body: JsonObject): Promise<JsonObject> {
    const bound = digestOf(context).toString('base64');
    const asked = { ...body, associated_data: bound, ...(isDerived && { context: bound }) };
    const path = `${pathOf(mount)}/${action}/${encodeURIComponent(key)}`;
    const answer = await vault.ask({ method: 'POST', path, body: asked, signal: AbortSignal.timeout(withinMs) });
    return objectOf(answer, 'data');
  }

  return {
    keyId: `transit:${where}`,
    async wrap(dataKey, context) {
      const plain = Buffer.concat([dataKey, digestOf(context)]);
      try {
        return packed(textOf(await ask('encrypt', context, { plaintext: plain.toString('base64') }), 'ciphertext'));
      } catch (error) {
        throw kmsFault(error, where, verdictOf);
      } finally {
        plain.fill(0);
      }
    },
    async unwrap(wrapped, context) {
      try {
        const data = await ask('decrypt', context, { ciphertext: unpacked(wrapped) });
        return opened(Buffer.from(textOf(data, 'plaintext'), 'base64'), digestOf(context));
      } catch (error) {
        if (error instanceof ServiceRefusal && error.status === 400 && NOT_OPENED.test(error.message)) return undefined;
        throw kmsFault(error, where, verdictOf);
      }
    },
  };
}

const digestOf = (context: Uint8Array): Buffer => createHash('sha256').update(context).digest();

function opened(plain: Buffer, digest: Buffer): Buffer | undefined {
  const isOurs =
    plain.length === DATA_KEY_BYTES + digest.length && timingSafeEqual(plain.subarray(DATA_KEY_BYTES), digest);
  const dataKey = isOurs ? Buffer.from(plain.subarray(0, DATA_KEY_BYTES)) : undefined;
  plain.fill(0);
  return dataKey;
}

/** `vault:v1:<base64>` */
function packed(ciphertext: string): Buffer {
  const [, version, text = ''] = /^vault:v(\d{1,9}):([A-Za-z0-9+/=]+)$/.exec(ciphertext) ?? [];
  if (version === undefined) throw new Error('the answer has no ciphertext');
  const head = Buffer.alloc(VERSION_BYTES);
  head.writeUInt32BE(Number(version));
  return Buffer.concat([head, Buffer.from(text, 'base64')]);
}

function unpacked(wrapped: Uint8Array): string {
  const bytes = Buffer.from(wrapped);
  const version = bytes.length < VERSION_BYTES ? 1 : bytes.readUInt32BE(0);
  return `vault:v${version}:${bytes.subarray(VERSION_BYTES).toString('base64')}`;
}

/** The engine has a status for refusals, and words for which. */
const NOT_OPENED = /message authentication failed|invalid ciphertext|unable to decrypt/i;

function verdictOf({ status, message }: ServiceRefusal): KmsVerdict {
  if (status === 400 && /key not found/i.test(message)) return 'missing';
  return status === 400 && /disallowed by policy|too old/i.test(message) ? 'unusable' : undefined;
}
