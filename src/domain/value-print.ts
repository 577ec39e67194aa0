/**
 * Keyed fingerprint of a value that must not travel. Of no use without the key, with which it says whether a text holds the value, wherever in
 * it: never what the value is.
 */
export interface ValuePrint {
  /** UTF-16 units of the value in one spelling. */
  readonly length: number;
  /** Of 32 bits: what is looked for as a text passes. */
  readonly tag: number;
  /** What a find has to equal. */
  readonly mac: string;
}
