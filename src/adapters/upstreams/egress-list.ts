import { RemitError } from '../../domain/errors.ts';

/** Where a process in a sandbox may connect to, by name: nothing else, and nothing that a name leads to within the host or, unless said, its network. */
export interface EgressList {
  /** `host` (port 443), `host:port`, `*.domain` or `*.domain:port`; an address in brackets if it is IPv6. */
  readonly allow: readonly string[];
  readonly allowPrivateNetwork: boolean;
}

export interface Destination {
  /** Lower case, without a dot at its end and without brackets. */
  readonly host: string;
  readonly port: number;
}

const ENTRY = /^(?<host>(?:\*\.)?[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::(?<port>\d{1,5}))?$/i;
const DEFAULT_PORT = 443;

/** Whether a destination is on the list. @throws `ERR_CONFIG_INVALID` for an entry that is none */
export function egressMatcher({ allow }: EgressList): (to: Destination) => boolean {
  const entries = allow.map(readEntry);
  const exact = new Set(
    entries.filter(({ host }) => !host.startsWith('*.')).map(({ host, port }) => `${host} ${port}`),
  );
  // The dot stays: `*.example.com` is neither `example.com` nor `badexample.com`.
  const below = entries
    .filter(({ host }) => host.startsWith('*.'))
    .map(({ host, port }) => ({ end: host.slice(1), port }));
  return ({ host, port }) =>
    exact.has(`${host} ${port}`) || below.some((entry) => entry.port === port && host.endsWith(entry.end));
}

function readEntry(text: string): Destination {
  const { host, port } = ENTRY.exec(text)?.groups ?? {};
  const number = port === undefined ? DEFAULT_PORT : Number(port);
  if (host === undefined || number < 1 || number > 65_535) {
    throw new RemitError('ERR_CONFIG_INVALID', `${JSON.stringify(text)} is not a place to connect to`, {
      where: 'transport.stdio.sandbox.network.allow',
      hint: 'Write host, host:port or *.domain:port; without a port it is 443.',
    });
  }
  return { host: plainHost(host), port: number };
}

/** One spelling of a host, as names are compared without regard to case, and a dot at the end changes nothing (RFC 1035 §2.3.3, §3.1). */
export function plainHost(text: string): string {
  const host = text.toLowerCase().replace(/\.$/, '');
  return host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host;
}
