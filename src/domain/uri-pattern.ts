/** URIs of resources and the patterns that describe them. Pure, linear in the URI, and bounded. */

/** Bytes of UTF-8. */
const LONGEST_URI = 2048;
/** UTF-16 units. */
const LONGEST_PATTERN = 512;
const NOT_DRAWN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u;
const SCHEME = /^[A-Za-z][A-Za-z0-9+.-]*:/;
/** What a server that decodes once, or twice, would read as a separator, a control character or another way to write a dot. */
const HIDING = /%(?:25)*(?:2[ef]|5c|[01][0-9a-f]|7f)/i;

/**
 * Why a URI has more than one reading; undefined for one that has not. A policy must judge what the server will open (guarantee D4): so no dot
 * segments, no empty ones, nothing encoded that means something decoded, nothing that is not drawn.
 */
export function checkUri(uri: string): string | undefined {
  if (uri.length > LONGEST_URI || Buffer.byteLength(uri) > LONGEST_URI) return `it is longer than ${LONGEST_URI} bytes`;
  if (!SCHEME.test(uri)) return 'it does not begin with a scheme';
  if (NOT_DRAWN.test(uri)) return 'it holds characters that are not drawn';
  if (uri.includes('\\')) return 'it holds a backslash';
  if (HIDING.test(uri)) return 'it holds an encoded dot, separator or control character';
  const rest = uri.slice(uri.indexOf(':') + 1);
  if (rest.split(/[/?#&=;]/).some((segment) => segment === '..' || segment === '.'))
    return 'it holds a . or .. segment';
  const [path = ''] = rest.replace(/^\/\//, '').split(/[?#]/, 1);
  return path.includes('//') ? 'it holds an empty segment' : undefined;
}

/** Why a text cannot describe resources; undefined for one that can. */
export function findPatternProblem(pattern: string): string | undefined {
  if (pattern.length > LONGEST_PATTERN) return `it is longer than ${LONGEST_PATTERN} characters`;
  if (/^[^:]*\*/.test(pattern)) return 'its scheme must be written out';
  if (/[{}]/.test(pattern)) return 'it holds a brace: write * for what varies within a segment, ** for anything';
  if (pattern.includes('***')) return 'more than two * follow one another';
  return checkUri(pattern);
}

const STAR = -1;
const GLOBSTAR = -2;
const SLASH = 47;

/** `*` stands for any text within a segment, `**` for any text at all. */
export interface UriPattern {
  readonly text: string;
  /** Characters before the first `*`: the longer, the more exact. */
  readonly prefix: string;
  readonly tokens: Int32Array;
}

export function compileUriPattern(text: string): UriPattern {
  const tokens: number[] = [];
  for (let at = 0; at < text.length; at++) {
    if (text[at] !== '*') tokens.push(text.charCodeAt(at));
    else if (text[at + 1] === '*') {
      tokens.push(GLOBSTAR);
      while (text[at + 1] === '*') at += 1;
    } else tokens.push(STAR);
  }
  const star = text.indexOf('*');
  return { text, prefix: star === -1 ? text : text.slice(0, star), tokens: Int32Array.from(tokens) };
}

/** Whether a normal URI is one of the pattern's. Follows all ways at once: time is length of URI × length of pattern, never more. */
export function matchesUri(pattern: UriPattern, uri: string): boolean {
  return statesAfter(pattern, uri)?.[pattern.tokens.length] === 1;
}

/**
 * Whether some URI of a template (RFC 6570) is one of the pattern's, as far as the template's text before its first expression tells.
 * For what to show only: each URI that is read is held against the patterns itself.
 */
export function coversTemplate(pattern: UriPattern, uriTemplate: string): boolean {
  const brace = uriTemplate.indexOf('{');
  if (brace === -1) return checkUri(uriTemplate) === undefined && matchesUri(pattern, uriTemplate);
  const literal = uriTemplate.slice(0, brace);
  return checkUri(literal) === undefined && statesAfter(pattern, literal) !== undefined;
}

/** The states that the pattern can be in after a text; undefined when none is left. */
function statesAfter({ prefix, tokens }: UriPattern, text: string): Uint8Array | undefined {
  if (!text.startsWith(prefix)) return undefined;
  let now = new Uint8Array(tokens.length + 1);
  let next = new Uint8Array(tokens.length + 1);
  reach(tokens, now, prefix.length);
  for (let at = prefix.length; at < text.length; at++) {
    const code = text.charCodeAt(at);
    let isAlive = false;
    for (let state = prefix.length; state < tokens.length; state++) {
      if (now[state] === 0) continue;
      const token = tokens[state] as number;
      if (token === GLOBSTAR || (token === STAR && code !== SLASH)) reach(tokens, next, state);
      else if (token === code) reach(tokens, next, state + 1);
      else continue;
      isAlive = true;
    }
    if (!isAlive) return undefined;
    [now, next] = [next, now];
    next.fill(0);
  }
  return now;
}

/** Marks a state, and those behind it that need no character. */
function reach(tokens: Int32Array, states: Uint8Array, state: number): void {
  states[state] = 1;
  for (let at = state; (tokens[at] as number) < 0; at++) states[at + 1] = 1;
}

/** The most exact of the patterns that match: the longest literal beginning, then the longest pattern, then the first. */
export function bestMatch<T extends { readonly pattern: UriPattern }>(
  entries: readonly T[],
  isMatch: (pattern: UriPattern) => boolean,
): T | undefined {
  let best: T | undefined;
  for (const entry of entries) {
    if (best !== undefined && !isMoreExact(entry.pattern, best.pattern)) continue;
    if (isMatch(entry.pattern)) best = entry;
  }
  return best;
}

function isMoreExact(a: UriPattern, b: UriPattern): boolean {
  return a.prefix.length === b.prefix.length ? a.text.length > b.text.length : a.prefix.length > b.prefix.length;
}
