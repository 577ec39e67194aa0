import type { ClientAuth } from 'openid-client';
import type { Secret } from '../../domain/secret.ts';

/**
 * `client_secret_basic` with the encoding of RFC 6749 appendix B, which leaves `-`, `.`, `_` and `*` as they are. The library's own encodes these
 * as well: right for who decodes, and a wrong name for the many servers that do not.
 */
export function clientSecretBasic(secret: Secret): ClientAuth {
  return (_server, { client_id: id }, _body, headers) => {
    const pair = Buffer.from(`${formEncoded(id)}:${formEncoded(secret.reveal())}`);
    headers.set('authorization', `Basic ${pair.toString('base64')}`);
    pair.fill(0);
  };
}

const formEncoded = (text: string): string => new URLSearchParams({ '': text }).toString().slice(1);
