const CR = 13;
const LF = 10;
const SPACE = 32;
const COMMA = 44;
const ZERO = 48;
const COLON = 58;
const SEMICOLON = 59;

const STATUS_LINE = Buffer.from('HTTP/1.1 200 ');
const JSON_TYPE = Buffer.from('application/json');
const EVENTS_TYPE = Buffer.from('text/event-stream');
const CHUNKED = Buffer.from('chunked');
const TIMEOUT = Buffer.from('timeout=');
const KEEP_ALIVE = Buffer.from('keep-alive');
const CONNECTION = Buffer.from('connection');
const CONTENT_TYPE = Buffer.from('content-type');
const CONTENT_LENGTH = Buffer.from('content-length');
const TRANSFER_ENCODING = Buffer.from('transfer-encoding');
/** With any of these a reply is not framed by its length or its chunks alone, or not what it looks like. */
const UNUSUAL = ['content-encoding', 'proxy-connection', 'trailer', 'upgrade'].map((name) => Buffer.from(name));
/** Bytes of a head; the library has a bound of its own for longer ones. */
const LONGEST_HEAD = 8_192;
const MOST_DIGITS = 9;

/** By byte: whether it may stand in a name (RFC 9110 §5.6.2), in a value (§5.5, without obs-text). */
const IN_NAME = tableOf(/[!#$%&'*+\-.^_`|~\dA-Za-z]/);
const IN_VALUE = tableOf(/[\t\x20-\x7e]/);

/**
 * Reads the head of a reply, if it is one of the two that servers give nearly always: HTTP/1.1, status 200, and either JSON, framed by one
 * `Content-Length` or in chunks, or an event stream in chunks. This is no parser of HTTP: whatever differs in any way is left to one.
 */
export class PlainHead {
  /** Where the body begins, in bytes. */
  bodyAt = 0;
  /** −1 where it comes in chunks. */
  bodyLength = 0;
  isStream = false;
  /** Seconds that the server means to keep an idle connection; −1 where it does not say. */
  keepAlive = -1;

  /** @param bytes from the first of the reply on. @returns whether they hold a plain head, whole; only then are the fields its own */
  read(bytes: Buffer): boolean {
    if (!hasAt(bytes, 0, STATUS_LINE)) return false;
    let at = endOfValue(bytes, STATUS_LINE.length);
    let length = -1;
    let isJson = false;
    let isEvents = false;
    let isChunked = false;
    this.keepAlive = -1;
    while (at !== -1) {
      if (bytes[at] === CR) {
        if (bytes[at + 1] !== LF || at > LONGEST_HEAD) return false;
        if (isChunked === (length !== -1) || (isEvents ? !isChunked : !isJson)) return false;
        this.bodyAt = at + 2;
        this.bodyLength = length;
        this.isStream = isEvents;
        return true;
      }
      const nameAt = at;
      while (IN_NAME[bytes[at] as number] === 1) at += 1;
      const nameLength = at - nameAt;
      if (nameLength === 0 || bytes[at] !== COLON) return false;
      const from = bytes[at + 1] === SPACE ? at + 2 : at + 1;
      at = endOfValue(bytes, from);
      if (at === -1) return false;
      const to = at - 2;
      if (nameLength === 14 && isNamed(bytes, nameAt, CONTENT_LENGTH)) {
        if (length !== -1) return false;
        length = numberIn(bytes, from, to);
        if (length === -1) return false;
      } else if (nameLength === 12 && isNamed(bytes, nameAt, CONTENT_TYPE)) {
        if (isJson || isEvents) return false;
        isJson = isType(bytes, from, to, JSON_TYPE);
        isEvents = !isJson && isType(bytes, from, to, EVENTS_TYPE);
        if (!isJson && !isEvents) return false;
      } else if (nameLength === 17 && isNamed(bytes, nameAt, TRANSFER_ENCODING)) {
        if (isChunked || to - from !== CHUNKED.length || !isNamed(bytes, from, CHUNKED)) return false;
        isChunked = true;
      } else if (nameLength === 10 && isNamed(bytes, nameAt, CONNECTION)) {
        if (to - from !== KEEP_ALIVE.length || !isNamed(bytes, from, KEEP_ALIVE)) return false;
      } else if (nameLength === 10 && isNamed(bytes, nameAt, KEEP_ALIVE)) {
        if (this.keepAlive !== -1 || !this.#readKeepAlive(bytes, from, to)) return false;
      } else if (isUnusual(bytes, nameAt, nameLength)) return false;
    }
    return false;
  }

  /** Its first parameter, which is the only one that servers send before `max`. */
  #readKeepAlive(bytes: Buffer, from: number, to: number): boolean {
    if (!hasAt(bytes, from, TIMEOUT)) return false;
    const start = from + TIMEOUT.length;
    let end = start;
    while (end < to && bytes[end] !== COMMA) end += 1;
    this.keepAlive = numberIn(bytes, start, end);
    return this.keepAlive !== -1;
  }
}

/** Whether it is this type, with parameters or without. */
function isType(bytes: Buffer, from: number, to: number, type: Buffer): boolean {
  const end = from + type.length;
  return hasAt(bytes, from, type) && (end === to || bytes[end] === SEMICOLON);
}

/** @returns where the next line begins; −1 where the line does not end as it should, or has not ended */
function endOfValue(bytes: Buffer, from: number): number {
  let at = from;
  while (IN_VALUE[bytes[at] as number] === 1) at += 1;
  return bytes[at] === CR && bytes[at + 1] === LF ? at + 2 : -1;
}

/** @returns −1 for what is not a number as one writes it, or one that is too long */
function numberIn(bytes: Buffer, from: number, to: number): number {
  const digits = to - from;
  if (digits < 1 || digits > MOST_DIGITS || (digits > 1 && bytes[from] === ZERO)) return -1;
  let value = 0;
  for (let at = from; at < to; at += 1) {
    const digit = (bytes[at] as number) - ZERO;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

function hasAt(bytes: Buffer, at: number, wanted: Buffer): boolean {
  for (let index = 0; index < wanted.length; index += 1) if (bytes[at + index] !== wanted[index]) return false;
  return true;
}

/** Without regard to case. @param at of a token: nothing that a token may hold becomes a letter or a hyphen by its fifth bit but a letter */
function isNamed(bytes: Buffer, at: number, name: Buffer): boolean {
  for (let index = 0; index < name.length; index += 1)
    if (((bytes[at + index] as number) | SPACE) !== name[index]) return false;
  return true;
}

function isUnusual(bytes: Buffer, at: number, length: number): boolean {
  if (length !== 7 && length !== 16 && length !== 17) return false;
  return UNUSUAL.some((name) => name.length === length && isNamed(bytes, at, name));
}

function tableOf(allowed: RegExp): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => (allowed.test(String.fromCharCode(byte)) ? 1 : 0));
}
