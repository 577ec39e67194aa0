import { lookup as systemLookup } from 'node:dns';
import type { LookupFunction, OnReadOpts, Socket } from 'node:net';
import ipaddr from 'ipaddr.js';
import { buildConnector } from 'undici';
import { RemitError } from '../../domain/errors.ts';

/** As of `node:dns`, called with `all: true`. */
export type Lookup = (
  hostname: string,
  options: { all: true },
  callback: (error: NodeJS.ErrnoException | null, addresses: { address: string; family: number }[]) => void,
) => void;

export interface GuardOptions {
  /** Of the connector, as configured. */
  readonly hostname: string;
  /** Whether addresses that only a private network routes are within reach. */
  readonly allowPrivateNetwork: boolean;
  readonly lookup?: Lookup | undefined;
  /** Certificates in PEM that it is verified against, instead of those that Node knows. */
  readonly ca?: string | undefined;
  /** How the connections are read, where that is not by their events. */
  readonly onread?: OnReadOpts | undefined;
}

type Reach = 'public' | 'private' | 'loopback' | 'never';

const PRIVATE = new Set(['private', 'uniqueLocal', 'carrierGradeNat']);
/** Where clouds hand out credentials, beyond the link-local range. The last is in no special range at all. */
const METADATA = new Set(['fd00:ec2::254', '100.100.100.200', '168.63.129.16']);

/**
 * Checks, at each connect and on the address itself, that a connector is where a connector may be (fault 43, attacks A30 and A36): a name
 * can resolve to another address at each look (rebinding), so checking it before says nothing.
 */
export function guardedConnect(options: GuardOptions): buildConnector.connector {
  const { hostname, allowPrivateNetwork, lookup, ca, onread } = options;
  const own = withoutBrackets(hostname);
  const isLoopback = own === 'localhost' || reachOf(own) === 'loopback';
  const isAllowed = (address: string): boolean => {
    const reach = reachOf(address);
    return reach === 'public' || (reach === 'private' && allowPrivateNetwork) || (reach === 'loopback' && isLoopback);
  };
  const connect = buildConnector({
    lookup: guardedLookup(isAllowed, lookup ?? systemLookup) as LookupFunction,
    ...(ca !== undefined && { ca }),
    ...(onread !== undefined && { onread }),
  });
  return (target, callback) => {
    const host = withoutBrackets(target.hostname);
    // A literal is never looked up.
    if (ipaddr.isValid(host) && !isAllowed(host)) callback(refusal(), null);
    else connect(target, callback);
  };
}

/** One connection, as the guard allows it; nothing is said over it. @throws `ERR_CONNECTOR_UNREACHABLE` for an address that may not be gone to, what connecting throws */
export function guardedSocket({ host, port }: { host: string; port: number }, guard: GuardOptions): Promise<Socket> {
  const connect = guardedConnect(guard);
  return new Promise((resolve, reject) => {
    // `http:` is what undici calls a connection without TLS.
    connect({ hostname: host, protocol: 'http:', port: String(port) }, (error, socket) =>
      error === null ? resolve(socket) : reject(error),
    );
  });
}

type NetCallback = (error: Error | null, found: unknown, family?: number) => void;

function guardedLookup(isAllowed: (address: string) => boolean, lookup: Lookup) {
  return (hostname: string, options: { all?: boolean }, callback: NetCallback): void =>
    lookup(hostname, { ...options, all: true }, (error, found) => {
      if (error !== null) {
        callback(error, []);
        return;
      }
      const allowed = found.filter(({ address }) => isAllowed(address));
      const [first] = allowed;
      if (first === undefined) callback(refusal(), []);
      else if (options.all === true) callback(null, allowed);
      else callback(null, first.address, first.family);
    });
}

function refusal(): RemitError {
  return new RemitError('ERR_CONNECTOR_UNREACHABLE', 'What is named here is at an address that Remit may not go to', {
    hint: 'Private networks need `allowPrivateNetwork` beside the address; loopback needs a URL that says so; link-local and metadata addresses are never allowed.',
  });
}

/** How far an address is. Forms that carry an IPv4 address within an IPv6 one are as far as that. */
export function reachOf(text: string): Reach {
  if (!ipaddr.isValid(text)) return 'never';
  const address = ipaddr.parse(text);
  if (METADATA.has(address.toString())) return 'never';
  if (address instanceof ipaddr.IPv6) {
    const inner = innerAddress(address);
    if (inner !== undefined) {
      const reach = reachOf(inner);
      return reach === 'public' || reach === 'private' ? reach : 'never';
    }
  }
  const range = address.range();
  if (range === 'loopback') return 'loopback';
  if (PRIVATE.has(range)) return 'private';
  return range === 'unicast' ? 'public' : 'never';
}

/** The IPv4 address in `::ffff:0:0/96`, `64:ff9b::/96` and the deprecated `::/96` (RFC 4291 §2.5.5, RFC 6052). */
function innerAddress(address: ipaddr.IPv6): string | undefined {
  const parts = address.parts;
  const [high = 0, low = 0] = parts.slice(6);
  const lead = parts.slice(0, 6).join(':');
  const isMapped = lead === '0:0:0:0:0:65535';
  const isTranslated = lead === `${0x64}:${0xff9b}:0:0:0:0`;
  // `::` and `::1` are addresses of their own; whatever else begins so has no business here.
  if (lead === '0:0:0:0:0:0' && (high !== 0 || low > 1)) return '0.0.0.0';
  if (!isMapped && !isTranslated) return undefined;
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
}

function withoutBrackets(hostname: string): string {
  return hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
}
