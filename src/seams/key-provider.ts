/**
 * Wraps the data keys of everything at rest under a key-encryption key (KEK). The KEK is never given away: a cloud's KMS could not, and
 * nobody else needs it. Cardinality: one that wraps, and while the vault's key is rotated those that open what they wrapped before.
 * Passing `test/suites/key-provider-suite.ts` is what makes one.
 */
export interface KeyProvider {
  /** Stable name of the key, kept beside what it wrapped, for example `file:kek-1`. Never the key or a part of it. */
  readonly keyId: string;
  /**
   * @param dataKey 32 bytes
   * @param context what the data key belongs to: the same bytes are needed to unwrap (AAD, encryption context); no secret
   * @returns at most 65,535 bytes, whose layout belongs to the provider
   * @throws `ERR_VAULT_KEY_MISSING`, `ERR_VAULT_KEY_WRONG` (no key, or none that can be used), `ERR_VAULT_KEY_UNREACHABLE`
   */
  wrap(dataKey: Uint8Array, context: Uint8Array): Promise<Buffer>;
  /**
   * The data key, a copy that the caller wipes; undefined when it does not open: wrapped by another key, for another context, or altered.
   * @throws as `wrap`: who cannot say whether it opens does not say that it does not
   */
  unwrap(wrapped: Uint8Array, context: Uint8Array): Promise<Buffer | undefined>;
}
