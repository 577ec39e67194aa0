import { protocolFault } from './upstream-faults.ts';

/** Levels of a result; no server that means well comes near. */
const DEEPEST = 1_000;
/** Longest name or word that is compared: `resultType` with each of its letters escaped is shorter. */
const LONGEST_WORD = 128;

const VALUE = 0;
const VALUE_OR_END = 1;
const NAME = 2;
const NAME_OR_END = 3;
const COLON = 4;
const AFTER = 5;
const STRING = 6;
const ESCAPE = 7;
const HEX = 8;
const WORD = 9;
const MINUS = 10;
const ZERO = 11;
const DIGITS = 12;
const POINT = 13;
const FRACTION = 14;
const EXPONENT = 15;
const SIGN = 16;
const POWER = 17;
const DONE = 18;

const isDigit = (code: number): boolean => code >= 48 && code <= 57;
const isHex = (code: number): boolean => isDigit(code) || ((code | 32) >= 97 && (code | 32) <= 102);
const isSpace = (code: number): boolean => code === 32 || code === 10 || code === 13 || code === 9;
/** `"\/bfnrt`, of RFC 8259 §7. */
const ESCAPED = new Set([34, 47, 92, 98, 102, 110, 114, 116]);
const WORDS = new Map([
  [116, 'true'],
  [102, 'false'],
  [110, 'null'],
]);

/**
 * Checks, byte by byte as it passes, that a result is one well-formed JSON object (RFC 8259) of bounded depth, and that its own `resultType`,
 * where it has one, is `complete`: a result that asks for input must not pass as one that is finished.
 */
export class ResultScanner {
  readonly #where: string;
  /** For each level: whether it is an object. */
  readonly #isObject = new Uint8Array(DEEPEST + 1);
  #depth = 0;
  #state = VALUE;
  #isName = false;
  #hexLeft = 0;
  #word = '';
  #wordAt = 0;
  /** Text of a name or value that is being compared; undefined while none is. */
  #heard: string | undefined;
  #isResultType = false;

  constructor(where: string) {
    this.#where = where;
  }

  /**
   * @returns where the result ends in the chunk; −1 while it goes on
   * @throws `ERR_CONNECTOR_PROTOCOL`
   */
  push(chunk: Buffer): number {
    for (let at = 0; at < chunk.length; at += 1) {
      if (this.#state === STRING) {
        at = this.#passText(chunk, at);
        if (at === chunk.length) return -1;
      }
      this.#read(chunk[at] as number);
      if (this.#state === DONE) return at + 1;
    }
    return -1;
  }

  /** Over what needs no look in a string; most of a large result is that. */
  #passText(chunk: Buffer, from: number): number {
    let at = from;
    for (; at < chunk.length; at += 1) {
      const code = chunk[at] as number;
      if (code === 34 || code === 92 || code < 32) break;
    }
    if (this.#heard !== undefined) this.#hear(chunk.toString('latin1', from, at));
    return at;
  }

  #read(code: number): void {
    switch (this.#state) {
      case STRING:
        this.#readInString(code);
        return;
      case ESCAPE:
        this.#hear(String.fromCharCode(code));
        this.#hexLeft = 4;
        if (code === 117) this.#state = HEX;
        else if (ESCAPED.has(code)) this.#state = STRING;
        else this.#fail();
        return;
      case HEX:
        if (!isHex(code)) this.#fail();
        this.#hear(String.fromCharCode(code));
        this.#hexLeft -= 1;
        if (this.#hexLeft === 0) this.#state = STRING;
        return;
      case WORD:
        if (code !== this.#word.charCodeAt(this.#wordAt)) this.#fail();
        this.#wordAt += 1;
        if (this.#wordAt === this.#word.length) this.#state = AFTER;
        return;
    }
    if (this.#state >= MINUS && this.#readNumber(code)) return;
    if (!isSpace(code)) this.#readStructure(code);
  }

  #readInString(code: number): void {
    if (code === 34) this.#endString();
    else if (code === 92) {
      this.#hear('\\');
      this.#state = ESCAPE;
    } else this.#fail(); // a control character
  }

  #readStructure(code: number): void {
    switch (this.#state) {
      case VALUE_OR_END:
        if (code === 93) this.#close(false);
        else this.#startValue(code);
        return;
      case VALUE:
        this.#startValue(code);
        return;
      case NAME_OR_END:
        if (code === 125) this.#close(true);
        else this.#startName(code);
        return;
      case NAME:
        this.#startName(code);
        return;
      case COLON:
        if (code !== 58) this.#fail();
        this.#state = VALUE;
        return;
      case AFTER:
        if (code === 44) this.#state = this.#isObject[this.#depth] === 1 ? NAME : VALUE;
        else if (code === 125 || code === 93) this.#close(code === 125);
        else this.#fail();
        return;
      default:
        this.#fail();
    }
  }

  #startName(code: number): void {
    if (code !== 34) this.#fail();
    this.#isName = true;
    this.#heard = this.#depth === 1 ? '' : undefined;
    this.#state = STRING;
  }

  #startValue(code: number): void {
    if (this.#depth === 0 && code !== 123) this.#fail();
    if (this.#isResultType && code !== 34) this.#fail('is not complete');
    if (code === 34) {
      this.#isName = false;
      this.#heard = this.#isResultType ? '' : undefined;
      this.#state = STRING;
    } else if (code === 123 || code === 91) this.#open(code === 123);
    else if (code === 45) this.#state = MINUS;
    else if (isDigit(code)) this.#state = code === 48 ? ZERO : DIGITS;
    else {
      this.#word = WORDS.get(code) ?? this.#fail();
      this.#wordAt = 1;
      this.#state = WORD;
    }
  }

  #open(isObject: boolean): void {
    this.#depth += 1;
    if (this.#depth > DEEPEST) this.#fail('is nested too deep');
    this.#isObject[this.#depth] = isObject ? 1 : 0;
    this.#state = isObject ? NAME_OR_END : VALUE_OR_END;
  }

  #close(isObject: boolean): void {
    if ((this.#isObject[this.#depth] === 1) !== isObject) this.#fail();
    this.#depth -= 1;
    this.#state = this.#depth === 0 ? DONE : AFTER;
  }

  #endString(): void {
    const heard = this.#heard;
    this.#heard = undefined;
    this.#state = this.#isName ? COLON : AFTER;
    if (this.#isName) this.#isResultType = heard !== undefined && this.#textOf(heard) === 'resultType';
    else if (this.#isResultType) {
      if (heard === undefined || this.#textOf(heard) !== 'complete') this.#fail('is not complete');
      this.#isResultType = false;
    }
  }

  /** @returns whether the byte belongs to the number; it ends where one does not. */
  #readNumber(code: number): boolean {
    const next = this.#nextOfNumber(code);
    if (next !== undefined) {
      this.#state = next;
      return true;
    }
    const isWhole = this.#state === ZERO || this.#state === DIGITS || this.#state === FRACTION || this.#state === POWER;
    if (!isWhole) this.#fail();
    this.#state = AFTER;
    return false;
  }

  #nextOfNumber(code: number): number | undefined {
    const isExponent = (code | 32) === 101;
    switch (this.#state) {
      case MINUS:
        if (!isDigit(code)) return undefined;
        return code === 48 ? ZERO : DIGITS;
      case ZERO:
      case DIGITS:
        if (code === 46) return POINT;
        if (isExponent) return EXPONENT;
        return this.#state === DIGITS && isDigit(code) ? DIGITS : undefined;
      case POINT:
      case FRACTION:
        if (isDigit(code)) return FRACTION;
        return this.#state === FRACTION && isExponent ? EXPONENT : undefined;
      case EXPONENT:
        if (code === 43 || code === 45) return SIGN;
        return isDigit(code) ? POWER : undefined;
      default:
        return isDigit(code) ? POWER : undefined;
    }
  }

  #hear(text: string): void {
    if (this.#heard === undefined) return;
    // A longer name is none that we look for; a longer value is not the one that we want.
    this.#heard = this.#heard.length + text.length > LONGEST_WORD ? undefined : this.#heard + text;
  }

  #textOf(heard: string): unknown {
    return JSON.parse(`"${heard}"`);
  }

  #fail(what = 'is not well-formed JSON'): never {
    throw protocolFault(`A large result ${what}`, { where: this.#where });
  }
}
