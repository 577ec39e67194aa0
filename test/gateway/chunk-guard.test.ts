import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ChunkGuard } from '../../src/gateway/stages/withhold-secrets.ts';

const SECRET = 'tok/3n"ä-Zq';
const needle = { value: SECRET, inJson: JSON.stringify(SECRET).slice(1, -1) };

/** @returns whether it passes, when it comes cut like this */
function passes(text: string, cuts: readonly number[]): boolean {
  const guard = new ChunkGuard([needle]);
  const bytes = Buffer.from(text);
  const at = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  // One buffer for all pieces, as it is where they come from: nothing of a piece may be read later.
  const shared = Buffer.alloc(bytes.length);
  try {
    for (let index = 1; index < at.length; index += 1) {
      const piece = bytes.subarray(at[index - 1], at[index]);
      shared.fill(0);
      piece.copy(shared);
      guard.check(shared.subarray(0, piece.length));
    }
    return true;
  } catch (error) {
    expect(error).toMatchObject({ code: 'ERR_CONNECTOR_PROTOCOL' });
    return false;
  }
}

const escaped = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;

/** Each character as it is in JSON, or as an escape of four digits. */
const written = fc
  .array(fc.boolean(), { minLength: SECRET.length, maxLength: SECRET.length })
  .map((choices) =>
    [...SECRET]
      .map((character, at) => (choices[at] ? escaped(character) : JSON.stringify(character).slice(1, -1)))
      .join(''),
  );
/** Text in JSON, of what confuses readers of escapes. */
const around = fc
  .array(fc.constantFrom('a', 'tok', '\\', '"', '/', 'ä', '\u0000', '𝄞'), { maxLength: 60 })
  .map((parts) => JSON.stringify(parts.join('')).slice(1, -1));
const cuts = fc.array(fc.nat(600), { maxLength: 40 });

describe('a credential in a large result', () => {
  it('L6 is found wherever it stands, however it is written, and however the result is cut', () => {
    fc.assert(
      fc.property(around, written, around, cuts, (before, secret, after, at) => {
        expect(passes(`${before}${secret}${after}`, at)).toBe(false);
      }),
      { numRuns: 2_000 },
    );
  });

  it('is found behind a long run of escaped backslashes, at each cut', () => {
    const text = `${'\\\\'.repeat(90)}${[...SECRET].map(escaped).join('')}`;
    for (let cut = 0; cut <= text.length; cut += 1) expect(passes(text, [cut])).toBe(false);
  });

  it('is not seen where it is not', () => {
    fc.assert(
      fc.property(around, around, cuts, (before, after, at) => {
        expect(passes(`${before}${needle.inJson.slice(0, -1)}${after}`, at)).toBe(true);
      }),
    );
  });
});
