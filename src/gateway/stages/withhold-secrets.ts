import { RemitError } from '../../domain/errors.ts';
import { isRefused, type Refused, refuse } from '../../domain/refusal.ts';
import type { HeldLease } from '../../leases/held-lease.ts';
import type { ErrorReply, SmallResult } from '../../seams/upstream.ts';

const WITHHELD = '[withheld by Remit: a credential]';
/** Shorter pieces would match by accident. */
const LEAST_LENGTH = 8;

/** Of `-----BEGIN OPENSSH PRIVATE KEY-----`: it stands in everybody's keys and certificates (RFC 7468 section 2). */
const BOUNDARY = /^-{4}|-{4}$/;

/** A piece of the credential, and how it stands inside JSON text that we write. */
export interface Needle {
  readonly value: string;
  readonly inJson: string;
}

const NONE: readonly Needle[] = [];

/** Computed once a lease. */
const prepared = new WeakMap<HeldLease, readonly Needle[]>();

/** Escapes that JSON allows and we never write: a value behind one is not found in the text as it came. */
const UNUSUAL_ESCAPE = /\\[u/]/;

const UNREADABLE = refuse({
  kind: 'unavailable',
  code: 'ERR_CONNECTOR_PROTOCOL',
  reason: 'the connector replied with what cannot be passed on',
  nextStep: 'The call may have had its effect: check before calling again.',
  isForwarded: true,
});

/**
 * What must not come back under this lease. To be asked for before the forward: while the call is under way its lease may be revoked, and the
 * secret is then wiped.
 */
export function needlesOf(held: HeldLease | undefined): readonly Needle[] {
  return held === undefined ? NONE : (prepared.get(held) ?? prepare(held));
}

/**
 * Takes the leased credential out of a reply, should the server echo it: the agent and the model never see a downstream secret, even
 * from a careless or compromised connector (guarantee L6). Only as it is, however JSON spells it: a server that encodes it first gets it
 * past this, as it could by any other way out that it has. Never throws: the call is over, and must get its outcome.
 */
export function withhold(
  reply: SmallResult | ErrorReply | Refused,
  needles: readonly Needle[],
): { readonly reply: SmallResult | ErrorReply | Refused; readonly withheld: number } {
  if (needles.length === 0 || isRefused(reply)) return { reply, withheld: 0 };
  try {
    return takeOut(reply, needles);
  } catch {
    // Nested deeper than can be written out again, so it cannot be searched either.
    return { reply: UNREADABLE, withheld: 0 };
  }
}

function takeOut(reply: SmallResult | ErrorReply, needles: readonly Needle[]) {
  const isResult = 'resultText' in reply;
  const isAsWeWrite = isResult && !(reply.resultText.includes('\\') && UNUSUAL_ESCAPE.test(reply.resultText));
  const text = isAsWeWrite ? reply.resultText : JSON.stringify(isResult ? JSON.parse(reply.resultText) : reply.error);
  if (!needles.some(({ inJson }) => text.includes(inJson))) return { reply, withheld: 0 };
  const found = needles.filter(({ inJson }) => text.includes(inJson));
  // In the value and not in its text, where a match may begin in the middle of an escape.
  const clean = cleaned(isResult ? JSON.parse(reply.resultText) : reply.error, found) as never;
  return {
    reply: isResult ? { result: clean, resultText: JSON.stringify(clean) } : { error: clean },
    withheld: found.length,
  };
}

/** A JSON value without the credential in any of its texts and names. @throws RangeError when it is nested too deep */
export function withholdWithin<T>(value: T, needles: readonly Needle[]): T {
  if (needles.length === 0) return value;
  const text = JSON.stringify(value);
  const found = needles.filter(({ inJson }) => text.includes(inJson));
  return found.length === 0 ? value : (cleaned(value, found) as T);
}

function cleaned(value: unknown, needles: readonly Needle[]): unknown {
  if (typeof value === 'string')
    return needles.reduce((rest, needle) => rest.replaceAll(needle.value, WITHHELD), value);
  if (Array.isArray(value)) return value.map((item) => cleaned(item, needles));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [cleaned(name, needles) as string, cleaned(member, needles)]),
  );
}

const BACKSLASH = 92;

/**
 * Looks for the credential in a large result as it passes. It cannot be taken out of what has been sent, so a hit breaks the result off before
 * the piece that would complete it (fail closed).
 */
export class ChunkGuard {
  readonly #needles: readonly { readonly value: Buffer; readonly inJson: Buffer }[];
  readonly #overlap: number;
  #tail: Buffer = Buffer.alloc(0);

  constructor(needles: readonly Needle[]) {
    this.#needles = needles.map(({ value, inJson }) => ({ value: Buffer.from(value), inJson: Buffer.from(inJson) }));
    const longest = Math.max(0, ...this.#needles.map(({ value, inJson }) => Math.max(value.length, inJson.length)));
    // Each character may stand as an escape of six, and the text before it may end in a half of one.
    this.#overlap = longest === 0 ? 0 : 6 * longest + 12;
  }

  /** @throws `ERR_CONNECTOR_PROTOCOL` when the credential is in what has come so far */
  check(chunk: Buffer): void {
    if (this.#needles.length === 0) return;
    // What crosses from one chunk to the next is looked for where they meet: nothing large is copied.
    const seam = this.#tail.length === 0 ? undefined : Buffer.concat([this.#tail, chunk.subarray(0, this.#overlap)]);
    if (this.#isIn(chunk) || (seam !== undefined && this.#isIn(seam))) {
      throw new RemitError('ERR_CONNECTOR_PROTOCOL', 'a large result held the credential that was leased for it', {
        hint: 'The connector echoes its credential: it needs mending.',
      });
    }
    const end = chunk.length < this.#overlap ? (seam ?? chunk) : chunk;
    this.#tail = Buffer.from(end.subarray(Math.max(0, end.length - this.#overlap)));
  }

  #isIn(window: Buffer): boolean {
    return (
      this.#needles.some(({ inJson }) => window.includes(inJson)) ||
      ((window.includes('\\u') || window.includes('\\/')) &&
        // What it begins with may be the second half of an escape, or the beginning of the next one.
        (this.#isBehindEscapes(window) || (window[0] === BACKSLASH && this.#isBehindEscapes(window.subarray(1)))))
    );
  }

  #isBehindEscapes(window: Buffer): boolean {
    // One character a byte, so that a text that was cut in the middle of a character stays what it is.
    const plain = window
      .toString('latin1')
      .replace(/\\(?:u([0-9a-fA-F]{4})|(["\\/]))/g, (_, code: string | undefined, character: string) =>
        code === undefined ? character : Buffer.from(String.fromCharCode(Number.parseInt(code, 16))).toString('latin1'),
      );
    return this.#needles.some(({ value }) => plain.includes(value.toString('latin1')));
  }
}

function prepare(held: HeldLease): readonly Needle[] {
  const { environment, headers, descriptors = {}, arguments: args = [], parts = [] } = held.injection;
  const placed = [environment, headers, descriptors].flatMap((place) => Object.values(place));
  const values = new Set<string>();
  for (const secret of [...placed, ...args, ...parts]) {
    const value = secret.reveal();
    // `Bearer TOKEN` as a whole, and TOKEN alone.
    for (const part of [value, ...value.split(/\s+/).filter((piece) => !BOUNDARY.test(piece))]) {
      // The name of the leased role is no secret: it is on every record.
      if (part.length >= LEAST_LENGTH && part !== held.lease.tag) values.add(part);
    }
  }
  const needles = [...values]
    .sort((a, b) => b.length - a.length)
    .map((value) => ({ value, inJson: JSON.stringify(value).slice(1, -1) }));
  prepared.set(held, needles);
  return needles;
}
