/**
 * A member's name as the loosest decoders compare it: without case, and with Unicode's simple folding, which takes `ſ` (U+017F) for `s` and
 * the Kelvin sign for `k` (Go's encoding/json does).
 */
export function foldName(name: string): string {
  return name.toUpperCase().toLowerCase();
}

/** A JSON object: no array and not null. */
export type JsonObject = Readonly<Record<string, unknown>>;

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
