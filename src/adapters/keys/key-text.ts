import type { ErrorCode } from '../../domain/errors.ts';
import { RemitError } from '../../domain/errors.ts';

/** Bytes of a key-encryption key: AES-256. */
export const KEY_BYTES = 32;

/** 43 base64url characters; the last one carries 4 bits, so its low 2 must be zero (RFC 4648 section 3.5). */
const KEY_TEXT = /^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/;

/**
 * Reads a key out of its base64url text. The text itself never reaches a message.
 * @param where file path or name of the variable, for the message
 * @throws `ERR_VAULT_KEY_MISSING` (empty), `ERR_VAULT_KEY_WRONG` (not 32 bytes of base64url)
 */
export function parseKeyText(text: string, where: string): Buffer {
  const trimmed = text.trim();
  if (trimmed === '') throw keyError('ERR_VAULT_KEY_MISSING', 'the vault key is empty', where);
  if (!KEY_TEXT.test(trimmed)) {
    throw keyError(
      'ERR_VAULT_KEY_WRONG',
      `the vault key is not ${KEY_BYTES} bytes of base64url (43 characters)`,
      where,
    );
  }
  return Buffer.from(trimmed, 'base64url');
}

const HINTS = {
  ERR_VAULT_KEY_MISSING: 'Run `remit init` for a new vault, or bring back the key that the vault was made with.',
  ERR_VAULT_KEY_UNREACHABLE: 'Check that the service which holds the vault key runs and may be asked; then try again.',
  ERR_VAULT_KEY_WRONG: 'Bring back the key that the vault was made with; what it sealed opens with no other.',
} as const;

export function keyError(
  code: Extract<ErrorCode, keyof typeof HINTS>,
  message: string,
  where: string,
  more: { hint?: string; cause?: unknown } = {},
): RemitError {
  return new RemitError(code, message, { hint: HINTS[code], where, ...more });
}
