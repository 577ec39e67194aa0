import type { IncomingMessage } from 'node:http';

/**
 * Headers that must come at most once: Node joins or drops repeats, another hop may not (attacks A05, A13; fault 44). All `mcp-*` headers
 * are among them too. In order of a bit each.
 */
const SINGLE = [
  'host',
  'authorization',
  'origin',
  'content-type',
  'content-length',
  'content-encoding',
  'transfer-encoding',
  'last-event-id',
  'mcp-protocol-version',
  'mcp-method',
  'mcp-name',
  'mcp-session-id',
] as const;

/** Places in `SINGLE` of the names of that many characters. */
const BY_LENGTH: readonly (readonly number[] | undefined)[] = SINGLE.reduce<number[][]>((table, name, at) => {
  const places = table[name.length];
  if (places === undefined) table[name.length] = [at];
  else places.push(at);
  return table;
}, []);

const LENGTH_AND_CODING = (1 << SINGLE.indexOf('content-length')) | (1 << SINGLE.indexOf('transfer-encoding'));

export interface HeaderProblem {
  readonly status: 400 | 403 | 415 | 421;
  readonly reason: string;
}

/**
 * Refuses repeated security headers, a body of two lengths (request smuggling), a compressed body (a bomb, and bytes other than those that
 * are checked), a Host that is not ours (DNS rebinding: A05, A06, A11) and a browser Origin that is not ours.
 * @param hosts the `host:port` values, lower case, under which this server may be addressed
 */
export function checkHeaders(request: IncomingMessage, hosts: ReadonlySet<string>): HeaderProblem | undefined {
  const repeated = findRepeated(request.rawHeaders);
  if (repeated !== undefined) return { status: 400, reason: repeated };
  const { host, origin, 'content-encoding': coding } = request.headers;
  if (!isOwnHost(host, hosts)) {
    return { status: 421, reason: 'the Host header does not name this gateway' };
  }
  if (origin !== undefined && !isOwnOrigin(origin, hosts)) {
    return { status: 403, reason: 'requests from this Origin are not accepted' };
  }
  if (coding !== undefined && coding.toLowerCase() !== 'identity') {
    return { status: 415, reason: 'a Content-Encoding other than identity is not accepted' };
  }
  return undefined;
}

/** Whether a `Host` header names this server. @param hosts as for `checkHeaders` */
export const isOwnHost = (host: string | undefined, hosts: ReadonlySet<string>): boolean =>
  host !== undefined && (hosts.has(host) || hosts.has(host.toLowerCase()));

/** One pass, and nothing allocated for what clients commonly send. */
function findRepeated(raw: readonly string[]): string | undefined {
  let seen = 0;
  let others: string[] | undefined;
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] as string;
    const at = placeOf(name);
    if (at !== -1) {
      const bit = 1 << at;
      if ((seen & bit) !== 0) return `header ${SINGLE[at]} is given more than once`;
      seen |= bit;
    } else if (startsWithMcp(name)) {
      const lower = name.toLowerCase();
      if (others === undefined) others = [lower];
      else if (others.includes(lower)) return `header ${lower} is given more than once`;
      else others.push(lower);
    }
  }
  // Node refuses it by itself (RFC 9112 §6.1), unless somebody starts it with --insecure-http-parser.
  return (seen & LENGTH_AND_CODING) === LENGTH_AND_CODING
    ? 'Content-Length and Transfer-Encoding exclude each other'
    : undefined;
}

function placeOf(name: string): number {
  const places = BY_LENGTH[name.length];
  if (places !== undefined) for (const at of places) if (isName(name, SINGLE[at] as string)) return at;
  return -1;
}

/** Whether a header's name, an RFC 9110 token, is this lower-case one: setting bit 5 takes letters to lower case and leaves `-`. */
function isName(name: string, lower: string): boolean {
  for (let i = 0; i < lower.length; i++) if ((name.charCodeAt(i) | 32) !== lower.charCodeAt(i)) return false;
  return true;
}

function startsWithMcp(name: string): boolean {
  return name.length > 4 && isName(name, 'mcp-');
}

function isOwnOrigin(origin: string, hosts: ReadonlySet<string>): boolean {
  const match = /^https?:\/\/(.+)$/.exec(origin.toLowerCase());
  return match !== null && hosts.has(match[1] as string);
}
