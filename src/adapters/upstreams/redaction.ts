import type { CredentialInjection } from '../../seams/upstream.ts';

const MARK = '[secret]';
/** Shorter values cannot be found in a text without spoiling it, so text is then withheld whole. */
const SHORTEST = 4;

export type Redact = (text: string) => string;

export interface Redactor {
  readonly redact: Redact;
  /** Bytes of the longest text that `redact` looks for. */
  readonly longestBytes: number;
}

function revealed(injection: CredentialInjection): string[] {
  const { environment, headers, descriptors = {}, arguments: args = [], parts = [] } = injection;
  const placed = [environment, headers, descriptors].flatMap((place) => Object.values(place));
  return [...placed, ...args, ...parts].map((secret) => secret.reveal()).filter((value) => value !== '');
}

/** The forms in which a program is likely to print a value: as it is, in a URL, in Basic or any other base64. */
function formsOf(value: string): string[] {
  const token = value.replace(/^\S+ (?=\S)/, ''); // `Bearer x` is looked for as `x` too
  return [value, token].flatMap((form) => [
    form,
    encodeURIComponent(form),
    JSON.stringify(form).slice(1, -1),
    Buffer.from(form).toString('base64'),
    Buffer.from(form).toString('base64url'),
  ]);
}

/**
 * Takes injected secrets out of a text that a server wrote. A second line: the first is that such texts go to the
 * operator only. A program that transforms its secret in some other way defeats it.
 */
export function createRedactor(injection: CredentialInjection): Redactor {
  const values = revealed(injection);
  if (values.some((value) => value.length < SHORTEST)) return { redact: () => '', longestBytes: 0 };
  const forms = [...new Set(values.flatMap(formsOf))].filter((form) => form.length >= SHORTEST);
  forms.sort((a, b) => b.length - a.length);
  const redact: Redact = (text) => forms.reduce((rest, form) => rest.replaceAll(form, MARK), text);
  return {
    redact: (text) => withoutCutForm(redact(text), forms),
    longestBytes: Math.max(0, ...forms.map((form) => Buffer.byteLength(form))),
  };
}

/** A text that ends in the middle of a secret ends before it. */
function withoutCutForm(text: string, forms: readonly string[]): string {
  let end = text.length;
  for (const form of forms) {
    for (let size = Math.min(form.length - 1, text.length); size >= SHORTEST; size -= 1) {
      if (!text.endsWith(form.slice(0, size))) continue;
      end = Math.min(end, text.length - size);
      break;
    }
  }
  return end === text.length ? text : `${text.slice(0, end)}${MARK}`;
}
