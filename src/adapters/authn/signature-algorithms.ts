/** What others' tokens may be signed with (RFC 7518 §3.1, RFC 8037, RFC 9864): public keys only, so that no key set can be turned into a shared secret. */
export const SIGNATURE_ALGORITHMS = [
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
  'PS256',
  'PS384',
  'PS512',
  'RS256',
  'RS384',
  'RS512',
];
