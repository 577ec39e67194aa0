import { createHash } from 'node:crypto';
import type { JsonObject } from '../../domain/json.ts';
import type { KeyProvider } from '../../seams/key-provider.ts';
import { ServiceRefusal, textOf } from '../clouds/ask-json.ts';
import { type AwsService, createAwsCaller } from '../clouds/aws-caller.ts';
import { dataKeyOf, KMS_WITHIN_MS, type KmsVerdict, kmsFault } from './kms-faults.ts';

export interface AwsKmsOptions extends Omit<AwsService, 'service'> {
  /** Id or ARN of a symmetric key. No alias: it may name another key tomorrow. */
  readonly key: string;
  readonly withinMs?: number;
}

/** It does not open: wrapped by another key, for another context, or altered. */
const NOT_OPENED = new Set(['InvalidCiphertextException', 'IncorrectKeyException']);
const UNUSABLE = new Set(['DisabledException', 'KMSInvalidStateException', 'InvalidKeyUsageException']);

/** Key in AWS KMS (Encrypt, Decrypt), which never leaves it. The context goes as encryption context: its digest, since CloudTrail shows it. */
export function createAwsKmsKeyProvider(options: AwsKmsOptions): KeyProvider {
  const { key, withinMs = KMS_WITHIN_MS } = options;
  const keyId = `awskms:${key}`;
  const call = createAwsCaller({ ...options, service: 'kms' });
  const contextOf = (context: Uint8Array): JsonObject => ({
    'remit:context': createHash('sha256').update(context).digest('base64'),
  });

  async function ask(action: 'Encrypt' | 'Decrypt', body: JsonObject): Promise<JsonObject> {
    const headers = { 'Content-Type': 'application/x-amz-json-1.1', 'X-Amz-Target': `TrentService.${action}` };
    const answer = await call(headers, JSON.stringify({ KeyId: key, ...body }), AbortSignal.timeout(withinMs));
    if (answer.status === 200) return answer.body;
    const { __type: type, message } = answer.body;
    const reason = typeof type === 'string' ? type.replace(/^.*#/, '') : '';
    throw new ServiceRefusal(answer.status, reason, typeof message === 'string' ? message.slice(0, 200) : '');
  }

  return {
    keyId,
    async wrap(dataKey, context) {
      try {
        const Plaintext = Buffer.from(dataKey).toString('base64');
        const answer = await ask('Encrypt', { Plaintext, EncryptionContext: contextOf(context) });
        return Buffer.from(textOf(answer, 'CiphertextBlob'), 'base64');
      } catch (error) {
        throw kmsFault(error, key, verdictOf);
      }
    },
    async unwrap(wrapped, context) {
      if (wrapped.length === 0) return undefined;
      try {
        const CiphertextBlob = Buffer.from(wrapped).toString('base64');
        const answer = await ask('Decrypt', { CiphertextBlob, EncryptionContext: contextOf(context) });
        return dataKeyOf(textOf(answer, 'Plaintext'));
      } catch (error) {
        if (error instanceof ServiceRefusal && NOT_OPENED.has(error.reason)) return undefined;
        throw kmsFault(error, key, verdictOf);
      }
    },
  };
}

function verdictOf({ reason }: ServiceRefusal): KmsVerdict {
  if (reason === 'NotFoundException') return 'missing';
  return UNUSABLE.has(reason) ? 'unusable' : undefined;
}
