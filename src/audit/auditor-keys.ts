import { CompactEncrypt, compactDecrypt, importJWK, type JWK } from 'jose';
import { RemitError } from '../domain/errors.ts';

/**
 * Where auditors are named, a content key is kept as one JWE (RFC 7516) for each of them, to the public half of a key that only they have: what
 * lies on the gateway's disk, its vault key included, opens no content.
 */
export interface Auditor {
  readonly name: string;
  /** EC P-256, public, with a `kid`. */
  readonly publicKey: JWK & { readonly kid: string };
}

const ALG = 'ECDH-ES+A256KW';
const ENC = 'A256GCM';

interface Wrapped {
  readonly auditors: readonly { readonly name: string; readonly kid: string; readonly jwe: string }[];
}

/** @param name of the key, which opening must name again */
export async function wrapForAuditors(key: Uint8Array, name: string, auditors: readonly Auditor[]): Promise<Buffer> {
  const wrapped: Wrapped = {
    auditors: await Promise.all(
      auditors.map(async ({ name: auditor, publicKey }) => ({
        name: auditor,
        kid: publicKey.kid,
        jwe: await new CompactEncrypt(key)
          // `sub`: a JWE that was moved to another row does not open as that row's.
          .setProtectedHeader({ alg: ALG, enc: ENC, kid: publicKey.kid, sub: name })
          .encrypt(await importJWK(publicKey, ALG)),
      })),
    ),
  };
  return Buffer.from(JSON.stringify(wrapped), 'utf8');
}

/** Whether a stored key is one for auditors: a plain one is 32 bytes. */
export const isWrapped = (stored: Buffer): boolean => stored.length !== 32;

/** @throws `ERR_AUDITOR_KEY` when the key is not to that private key, or not of that name */
export async function unwrapForAuditor(stored: Buffer, name: string, privateKey: JWK): Promise<Buffer> {
  const { auditors } = JSON.parse(stored.toString('utf8')) as Wrapped;
  const mine = auditors.find(({ kid }) => kid === privateKey.kid);
  if (mine === undefined) {
    throw new RemitError(
      'ERR_AUDITOR_KEY',
      `the content is for ${auditors.map((one) => one.name).join(', ')} to read`,
      {
        where: name,
        hint: 'Give the key of one of them with --auditor-key. An auditor who was named later reads what was recorded since.',
      },
    );
  }
  try {
    const { plaintext, protectedHeader } = await compactDecrypt(mine.jwe, await importJWK(privateKey, ALG), {
      keyManagementAlgorithms: [ALG],
      contentEncryptionAlgorithms: [ENC],
    });
    if (protectedHeader.sub !== name) throw new Error('of another name');
    return Buffer.from(plaintext);
  } catch {
    // The library's message is about the key: it is not passed on.
    throw new RemitError('ERR_AUDITOR_KEY', 'the content key does not open with this auditor’s key', {
      where: name,
      hint: 'The key file may have been exchanged, or the row changed: `remit audit verify` says whether the trail is whole.',
    });
  }
}
