import { isJsonObject } from './json.ts';

/** Key of a request's `_meta` under which a client says which prompt the request follows from. */
export const PROMPT_META = 'io.remit/prompt';

/** What is kept of prompts: their digest, their text as well (sealed), or nothing. */
export type PromptMode = 'digest' | 'text' | 'off';

/** A prompt as somebody gave it: the person's words, or their digest alone. The client's own word: it is kept, and decides nothing. */
export type GivenPrompt = { readonly digest: string } | { readonly text: string };

const DIGEST = /^sha256:[0-9a-f]{64}$/;

/** A digest (`sha256:` and 64 hex digits, of the UTF-8 of the prompt), or an object with `digest` or `text`. Undefined: neither. */
export function readGivenPrompt(value: unknown): GivenPrompt | undefined {
  if (typeof value === 'string') return DIGEST.test(value) ? { digest: value } : undefined;
  if (!isJsonObject(value)) return undefined;
  const { digest, text } = value;
  if (text !== undefined) return typeof text === 'string' && digest === undefined ? { text } : undefined;
  return typeof digest === 'string' && DIGEST.test(digest) ? { digest } : undefined;
}
