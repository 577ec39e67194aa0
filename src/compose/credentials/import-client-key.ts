import { type CryptoKey, importPKCS8 } from 'jose';
import { RemitError } from '../../domain/errors.ts';
import type { Secret } from '../../domain/secret.ts';

/** A client's own key for `private_key_jwt`. @throws `ERR_CREDENTIAL_ISSUE` for anything else, without a word of it */
export async function importClientKey(secret: Secret): Promise<{ key: CryptoKey }> {
  try {
    return { key: await importPKCS8(secret.reveal(), 'ES256') };
  } catch {
    throw new RemitError('ERR_CREDENTIAL_ISSUE', 'the client key is no private key for ES256', {
      hint: 'Store it in PEM (PKCS#8): `openssl pkcs8 -topk8 -nocrypt -in key.pem | remit secret put NAME`.',
    });
  }
}
