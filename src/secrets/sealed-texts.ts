import { hkdfSync } from 'node:crypto';
import type { RandomBytes, TenantId } from '../domain/ids.ts';
import { isJsonObject, type JsonObject } from '../domain/json.ts';
import type { Clock } from '../seams/clock.ts';
import { openText, sealBytes } from './seal-bytes.ts';

/** Values that come back within a time, to whichever node: who has them can neither read nor change them. */
export interface SealedTexts {
  /**
   * @param about what a text is good for, and nothing else
   * @param ms so long it is good
   */
  seal(about: string, value: JsonObject, ms: number): string;
  /** Undefined for anything else than what was sealed about the same, in time. */
  open(about: string, text: string): JsonObject | undefined;
}

/** Sealed under a key of its own for each purpose, in base64url. */
export function createSealedTexts(parts: {
  readonly tenant: TenantId;
  /** The one that all nodes have. */
  readonly stateKey: Buffer;
  /** What the key is derived for (HKDF, RFC 5869). */
  readonly purpose: string;
  /** Names the kind and version of what is sealed. */
  readonly label: string;
  readonly clock: Clock;
  readonly random: RandomBytes;
}): SealedTexts {
  const { tenant, stateKey, purpose, label, clock, random } = parts;
  const key = Buffer.from(hkdfSync('sha256', stateKey, '', purpose, 32));
  const boundTo = (about: string): Buffer => Buffer.from(JSON.stringify([label, tenant, about]));
  return {
    seal: (about, value, ms) =>
      sealBytes(key, boundTo(about), JSON.stringify([clock() + ms, value]), random).toString('base64url'),
    open(about, text) {
      const bytes = Buffer.from(text, 'base64url');
      // Exactly one text stands for each sealed value.
      if (bytes.toString('base64url') !== text) return undefined;
      const opened = openText(key, boundTo(about), bytes);
      if (opened === undefined) return undefined;
      const [until, value] = JSON.parse(opened) as [number, unknown];
      return clock() < until && isJsonObject(value) ? value : undefined;
    },
  };
}
