import { isRemitError, messageOf, type RemitError } from '../../domain/errors.ts';
import { ServiceRefusal } from '../clouds/ask-json.ts';
import { keyError } from './key-text.ts';

/** Longest that a service may take for one data key, milliseconds. */
export const KMS_WITHIN_MS = 10_000;

/** What a service's refusal says of its key. Anything else says nothing: who may not ask, or gets no answer, cannot tell. */
export type KmsVerdict = 'missing' | 'unusable' | undefined;

/** Faults of a key that a service holds, by what is to be done about them. */
export function kmsFault(
  error: unknown,
  where: string,
  verdictOf: (refusal: ServiceRefusal) => KmsVerdict,
): RemitError {
  if (isRemitError(error) && error.code.startsWith('ERR_VAULT_KEY_')) return error;
  const verdict = error instanceof ServiceRefusal ? verdictOf(error) : undefined;
  const text = messageOf(error)
    .replace(/\p{Cc}+/gu, ' ')
    .slice(0, 300);
  const cause = error;
  if (verdict === 'missing') {
    const hint = 'Check the key’s name; if it was deleted, what it wrapped is lost unless it can be restored.';
    return keyError('ERR_VAULT_KEY_MISSING', `there is no such key: ${text}`, where, { hint, cause });
  }
  if (verdict === 'unusable') {
    const hint = 'Enable the key again, or cancel its deletion.';
    return keyError('ERR_VAULT_KEY_WRONG', `the key cannot be used: ${text}`, where, { hint, cause });
  }
  const hint = 'See that the service answers, and that Remit may encrypt and decrypt with that key; then try again.';
  return keyError('ERR_VAULT_KEY_UNREACHABLE', `the key cannot be asked: ${text}`, where, { hint, cause });
}

/** The data key in an answer; a copy. @throws where it is not 32 bytes */
export function dataKeyOf(base64: string): Buffer {
  const key = Buffer.from(base64, 'base64');
  if (key.length === 32) return key;
  key.fill(0);
  throw new Error('what it opened is no data key');
}
