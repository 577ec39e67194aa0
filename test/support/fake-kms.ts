import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { RemitError } from '../../src/domain/errors.ts';
import type { KeyProvider } from '../../src/seams/key-provider.ts';

/**
 * A cloud's key management service as a `KeyProvider` sees one: keys that never leave it, `Encrypt` and `Decrypt` with an encryption context,
 * ciphertext of its own layout and length, latency, refusals.
 */
export class FakeKms {
  readonly #keys = new Map<string, Buffer>();
  /** Requests that reached it. */
  requests = 0;
  /** Awaited before each request; a test makes it slow, or reject. */
  before: () => Promise<void> = async () => {};

  createKey(): string {
    const id = `arn:fake:kms:${this.#keys.size + 1}`;
    this.#keys.set(id, randomBytes(32));
    return id;
  }

  deleteKey(id: string): void {
    this.#keys.delete(id);
  }

  /** For the tests' canary alone: no request gives it away. */
  keyTexts(): string[] {
    return [...this.#keys.values()].flatMap((key) => [key.toString('base64'), key.toString('latin1')]);
  }

  async encrypt(id: string, plaintext: Uint8Array, encryptionContext: string): Promise<Buffer> {
    const key = await this.#request(id);
    const iv = randomBytes(12);
    const cipher = createCipheriv('aes-256-gcm', key, iv).setAAD(Buffer.from(encryptionContext));
    const body = Buffer.concat([cipher.update(plaintext), cipher.final()]);
    // As real ones do: the ciphertext names its key, and is much longer than what it holds.
    const name = Buffer.from(id.padEnd(64));
    return Buffer.concat([name, iv, cipher.getAuthTag(), body]);
  }

  /** @throws `InvalidCiphertextException` */
  async decrypt(id: string, ciphertext: Uint8Array, encryptionContext: string): Promise<Buffer> {
    const key = await this.#request(id);
    const bytes = Buffer.from(ciphertext);
    try {
      if (bytes.subarray(0, 64).toString() !== id.padEnd(64)) throw new Error('another key');
      const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(64, 76), { authTagLength: 16 });
      decipher.setAAD(Buffer.from(encryptionContext)).setAuthTag(bytes.subarray(76, 92));
      return Buffer.concat([decipher.update(bytes.subarray(92)), decipher.final()]);
    } catch {
      throw Object.assign(new Error('the ciphertext is invalid'), { name: 'InvalidCiphertextException' });
    }
  }

  async #request(id: string): Promise<Buffer> {
    this.requests++;
    await this.before();
    const key = this.#keys.get(id);
    if (key === undefined) throw Object.assign(new Error('no such key'), { name: 'NotFoundException' });
    return key;
  }
}

/** What an adapter for a cloud's KMS looks like: everything behind the seam is requests. */
export function createFakeKmsKeyProvider(kms: FakeKms, id: string): KeyProvider {
  const fault = (error: unknown): RemitError => {
    const isMissing = (error as Error).name === 'NotFoundException';
    return new RemitError(
      isMissing ? 'ERR_VAULT_KEY_MISSING' : 'ERR_VAULT_KEY_UNREACHABLE',
      isMissing ? 'the KMS has no such key' : 'the KMS cannot be asked',
      { where: id, hint: 'Check the key’s name and that this workload may use it.', cause: error },
    );
  };
  const contextText = (context: Uint8Array): string => createHash('sha256').update(context).digest('base64');
  return {
    keyId: `fakekms:${id}`,
    wrap: (dataKey, context) =>
      kms.encrypt(id, dataKey, contextText(context)).catch((error: unknown) => {
        throw fault(error);
      }),
    unwrap: (wrapped, context) =>
      kms.decrypt(id, wrapped, contextText(context)).catch((error: unknown) => {
        if ((error as Error).name === 'InvalidCiphertextException') return undefined;
        throw fault(error);
      }),
  };
}
