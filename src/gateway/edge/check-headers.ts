import type { IncomingMessage } from 'node:http';

/** Headers that must come at most once: Node joins or drops repeats, another hop may not (attacks A05, A13; fault 44). */
const SINGLE = new Set([
  'authorization',
  'host',
  'origin',
  'content-type',
  'content-length',
  'mcp-session-id',
  'mcp-protocol-version',
  'mcp-method',
  'mcp-name',
]);

export interface HeaderProblem {
  readonly status: 400 | 403 | 421;
  readonly reason: string;
}

/**
 * Refuses repeated security headers, a Host that is not ours (DNS rebinding) and a browser Origin that is not ours.
 * @param hosts the `host:port` values, lower case, under which this server may be addressed
 */
export function checkHeaders(request: IncomingMessage, hosts: ReadonlySet<string>): HeaderProblem | undefined {
  const raw = request.rawHeaders;
  let seen: string[] | undefined;
  for (let i = 0; i < raw.length; i += 2) {
    const name = (raw[i] as string).toLowerCase();
    if (!SINGLE.has(name)) continue;
    if (seen?.includes(name)) return { status: 400, reason: `header ${name} is given more than once` };
    if (seen === undefined) seen = [name];
    else seen.push(name);
  }
  const { host, origin } = request.headers;
  if (host === undefined || !hosts.has(host.toLowerCase())) {
    return { status: 421, reason: 'the Host header does not name this gateway' };
  }
  if (origin !== undefined && !isOwnOrigin(origin, hosts)) {
    return { status: 403, reason: 'requests from this Origin are not accepted' };
  }
  return undefined;
}

function isOwnOrigin(origin: string, hosts: ReadonlySet<string>): boolean {
  const match = /^https?:\/\/(.+)$/.exec(origin.toLowerCase());
  return match !== null && hosts.has(match[1] as string);
}
