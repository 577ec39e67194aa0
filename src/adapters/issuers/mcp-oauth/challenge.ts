/** What a resource server says with a 401 or 403 (RFC 6750 section 3, RFC 9728 section 5.1). A stranger's word, all of it. */
export interface BearerChallenge {
  readonly error: string | undefined;
  /** Undefined where it names none. */
  readonly scopes: readonly string[] | undefined;
  readonly resourceMetadata: string | undefined;
}

/** Longer headers are not read. */
const MOST_CHARACTERS = 8_192;
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+/;
/** `name = value`, with the value as a token or in quotes (RFC 9110 section 11.2). */
const PARAMETER =
  /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([!#$%&'*+\-./:^_`|~0-9A-Za-z]+))/;
/** RFC 6749 section 3.3. */
export const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+$/;

/** The first Bearer challenge of a `WWW-Authenticate` header, which may hold several (RFC 9110 section 11.6.1). Undefined where there is none. */
export function readChallenge(header: string): BearerChallenge | undefined {
  if (header.length > MOST_CHARACTERS) return undefined;
  let rest = header;
  let found: Map<string, string> | undefined;
  while (true) {
    rest = rest.replace(/^[\s,]+/, '');
    if (rest === '') break;
    const parameter = PARAMETER.exec(rest);
    if (parameter !== null) {
      const [whole, name = '', quoted, plain] = parameter;
      // The first of a name counts: a second one was put there by somebody else.
      const key = name.toLowerCase();
      if (found !== undefined && !found.has(key)) found.set(key, quoted?.replace(/\\(.)/g, '$1') ?? plain ?? '');
      rest = rest.slice(whole.length);
      continue;
    }
    const scheme = TOKEN.exec(rest)?.[0];
    // A scheme behind the one that was sought ends it; what is neither scheme nor parameter ends the reading.
    if (scheme === undefined || found !== undefined) break;
    if (scheme.toLowerCase() === 'bearer') found = new Map();
    rest = rest.slice(scheme.length);
  }
  if (found === undefined) return undefined;
  const scopes = found
    .get('scope')
    ?.split(' ')
    .filter((scope) => SCOPE.test(scope));
  return {
    error: found.get('error'),
    scopes: scopes === undefined || scopes.length === 0 ? undefined : [...new Set(scopes)],
    resourceMetadata: found.get('resource_metadata'),
  };
}
