/** How servers write the message around `params`: as JSON-RPC has it, and as the SDKs do. */
const FRAMES = [
  { head: '{"jsonrpc":"2.0","method":"notifications/progress","params":{', tail: '}}' },
  { head: '{"method":"notifications/progress","params":{', tail: '},"jsonrpc":"2.0"}' },
] as const;

/** Numbers, and text that needs no escape in JSON and hides nothing. */
const PLAIN =
  /"progress":-?(?:0|[1-9]\d{0,15})(?:\.\d{1,15})?(?:,"total":-?(?:0|[1-9]\d{0,15})(?:\.\d{1,15})?)?(?:,"message":"[ !#-[\]-~]*")?/y;

/** Events that are looked at for how they are written. */
const MOST_FRAMED = 3;
/** One event with one line of data, as the SDKs write it and as the least that will do (HTML Standard §9.2.6). */
const EVENT = /^((?:event: message\n)?data: )(.*)\n\n$/;

const NAMED = '"progressToken":"';
/** Longer lines are no plain progress, and need no search. */
const LONGEST = 1_024;

/** The token that a line names if it is plain progress: only a guess, for `PlainProgress` to confirm. */
export function plainTokenOf(line: string): string | undefined {
  const at = line.length > LONGEST ? -1 : line.indexOf(NAMED);
  if (at === -1) return undefined;
  const end = line.indexOf('"', at + NAMED.length);
  return end === -1 ? undefined : line.slice(at + NAMED.length, end);
}

/** What stands before and after the members. */
interface Around {
  readonly head: Buffer;
  readonly tail: string;
}

/**
 * Reads notifications of progress under one token, where they are written in one of the usual ways: most events of a stream are such, and need
 * not become objects to be passed on. A server writes all of them alike, so what stands around the members is made out once.
 */
export class PlainProgress {
  readonly #token: string;
  #head = '';
  #tail = '';
  /** The same with what makes an event of it. */
  #around: Around | undefined;
  #framed = 0;

  /** @param token ours, which needs no escape */
  constructor(token: string) {
    this.#token = token;
  }

  /** @returns its members as JSON text, without braces and without the token; undefined for any other message, which is to be read */
  read(text: string): string | undefined {
    if (!this.#isAsBefore(text) && !this.#makeOut(text)) return undefined;
    const start = this.#head.length;
    const end = text.length - this.#tail.length;
    PLAIN.lastIndex = start;
    return PLAIN.test(text) && PLAIN.lastIndex === end ? text.slice(start, end) : undefined;
  }

  /** The same for the bytes of one whole event: where it is written as the one before it was, only its members become text. */
  readEvent(event: Buffer): string | undefined {
    const around = this.#around ?? this.#frame(event);
    if (around === undefined) return undefined;
    const { head, tail } = around;
    if (event.length <= head.length || head.compare(event, 0, head.length) !== 0) return undefined;
    const text = event.toString('latin1', head.length);
    PLAIN.lastIndex = 0;
    const isPlain = PLAIN.test(text) && PLAIN.lastIndex === text.length - tail.length && text.endsWith(tail);
    return isPlain ? text.slice(0, -tail.length) : undefined;
  }

  #frame(event: Buffer): Around | undefined {
    if (this.#head === '' || this.#framed >= MOST_FRAMED) return undefined;
    this.#framed += 1;
    const [, field, data] = EVENT.exec(event.toString('latin1')) ?? [];
    if (field === undefined || data === undefined || !this.#isAsBefore(data)) return undefined;
    this.#around = { head: Buffer.from(field + this.#head), tail: `${this.#tail}\n\n` };
    return this.#around;
  }

  #isAsBefore(text: string): boolean {
    return this.#head !== '' && text.startsWith(this.#head) && text.endsWith(this.#tail);
  }

  #makeOut(text: string): boolean {
    const frame = FRAMES.find(({ head }) => text.startsWith(head));
    if (frame === undefined) return false;
    const first = `${frame.head}"progressToken":"${this.#token}",`;
    const last = `,"progressToken":"${this.#token}"${frame.tail}`;
    const isFirst = text.startsWith(first);
    if (!isFirst && !text.endsWith(last)) return false;
    this.#head = isFirst ? first : frame.head;
    this.#tail = isFirst ? frame.tail : last;
    return text.endsWith(this.#tail);
  }
}
