/** Gives the key-encryption key (KEK) that wraps every data key at rest. Cardinality: one per gateway. */
export interface KeyProvider {
  /** Stable name of the key, kept beside what it wrapped, for example `file:kek-1`. */
  readonly keyId: string;
  /** 32 bytes. @throws `ERR_VAULT_KEY_MISSING`, `ERR_VAULT_KEY_WRONG` (wrong length or unreadable) */
  key(): Promise<Buffer>;
}
