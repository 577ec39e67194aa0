import { FIELD_VALUE, FRAMING } from '../http-headers.ts';

/** token of RFC 9110 §5.6.2: what a field may be called. */
const FIELD_NAME = /^[!#$%&'*+\-.^_`|~\dA-Za-z]+$/;
const REQUEST_TARGET = /^\/[\x21-\x7e]*$/;

/**
 * Heads of the requests of one connection, up to `content-length`, as text. What all have in common is checked and written once for as long as
 * it stays the same.
 */
export class RequestHeads {
  readonly #host: string;
  #of: readonly string[] | undefined;
  #ofLength = 0;
  #path = '';
  #common: string | undefined;

  /** @param host as in the `Host` header */
  constructor(host: string) {
    this.#host = host;
  }

  /**
   * @param common names and values that only ever grow in number
   * @param extra of this request alone
   * @returns undefined where anything of it cannot stand in a request
   */
  headOf(path: string, common: readonly string[], extra: readonly string[]): string | undefined {
    if (this.#of !== common || this.#ofLength !== common.length || this.#path !== path) this.#write(path, common);
    if (this.#common === undefined || extra.length === 0) return this.#common;
    const lines = linesOf(extra);
    return lines === undefined ? undefined : this.#common + lines;
  }

  /** Holds no header any longer. */
  forget(): void {
    this.#of = undefined;
    this.#common = undefined;
  }

  #write(path: string, common: readonly string[]): void {
    this.#of = common;
    this.#ofLength = common.length;
    this.#path = path;
    const lines = linesOf(common);
    this.#common =
      lines === undefined || !REQUEST_TARGET.test(path) || !FIELD_VALUE.test(this.#host)
        ? undefined
        : `POST ${path} HTTP/1.1\r\nhost: ${this.#host}\r\nconnection: keep-alive\r\n${lines}`;
  }
}

function linesOf(headers: readonly string[]): string | undefined {
  let lines = '';
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const name = headers[at] as string;
    const value = headers[at + 1] as string;
    if (!FIELD_NAME.test(name) || FRAMING.has(name.toLowerCase()) || !FIELD_VALUE.test(value)) return undefined;
    lines += `${name}: ${value}\r\n`;
  }
  return lines;
}
