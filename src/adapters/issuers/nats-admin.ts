import { connect, credsAuthenticator, type NatsConnection } from '@nats-io/transport-node';
import type { Secret } from '../../domain/secret.ts';
import { orAbort } from './issuer-faults.ts';

/** Where the account's servers are, and as whom of the system account they are asked. */
export interface NatsAddress {
  /** `nats://host:port`, several for a cluster. */
  readonly servers: readonly string[];
  readonly tls: boolean;
  /** Credentials (a `.creds` file) of a user of the system account; asked at every new connection. */
  readonly systemCredentials: () => Promise<Secret>;
  /** Public key of the account, `A…`. */
  readonly account: string;
  /** How many servers keep accounts: so many have to confirm a change. */
  readonly serverCount: number;
}

/** One connection of the system account, made when it is needed. */
export interface NatsAdmin {
  /** For messages: the servers. */
  readonly where: string;
  /** The account's JWT, as a server has it. */
  lookUp(signal: AbortSignal): Promise<string>;
  /** JWTs of the operators that a server trusts; asked once a connection, or anew. */
  lookUpOperators(signal: AbortSignal, how?: 'anew'): Promise<readonly string[]>;
  /** Gives the account's JWT to the servers. @throws unless every one of them confirms it */
  push(jwt: string, signal: AbortSignal): Promise<void>;
  /** Gives the connection up. */
  drop(): void;
  close(): Promise<void>;
}

const CONNECT_WITHIN_MS = 5_000;
const ANSWER_WITHIN_MS = 5_000;
const UPDATE = '$SYS.REQ.CLAIMS.UPDATE';

/** @param onPush called with what somebody else pushes, for any account, and with undefined when a connection was made anew */
export function createNatsAdmin(address: NatsAddress, onPush: (jwt: string | undefined) => void): NatsAdmin {
  const { account, serverCount } = address;
  const where = address.servers.map((server) => server.replace(/^[a-z]+:\/\//, '')).join(',');
  let current: Promise<NatsConnection> | undefined;
  let operators: { of: NatsConnection; jwts: readonly string[] } | undefined;
  let isClosed = false;

  function connection(): Promise<NatsConnection> {
    if (isClosed) return Promise.reject(new Error('the issuer is closed'));
    if (current !== undefined) return current;
    const opening = open(address);
    current = opening;
    const forget = (): void => {
      if (current === opening) current = undefined;
    };
    opening.then((made) => {
      void made.closed().then(forget, forget);
      // Servers answer requests on this subject; whoever listens hears what other gateways and people push.
      made.subscribe(UPDATE, {
        callback: (error, message) => {
          if (error === null) onPush(message.string());
        },
      });
      onPush(undefined);
    }, forget);
    return opening;
  }

  function drop(): void {
    const dropped = current;
    current = undefined;
    dropped?.then(
      (made) => void made.close().catch(() => {}),
      () => {},
    );
  }

  async function push(jwt: string): Promise<void> {
    const made = await connection();
    const replies = await made.requestMany(UPDATE, jwt, {
      strategy: 'count',
      maxMessages: serverCount,
      maxWait: ANSWER_WITHIN_MS,
    });
    const confirmed = new Set<string>();
    for await (const reply of replies) confirmed.add(confirmedBy(reply.string()));
    if (confirmed.size >= serverCount) return;
    throw new Error(`${confirmed.size} of ${serverCount} servers confirmed the account's change`);
  }

  return {
    where,
    async lookUp(signal) {
      signal.throwIfAborted();
      const made = await orAbort(connection(), signal, () => {});
      const asked = made.request(`$SYS.REQ.ACCOUNT.${account}.CLAIMS.LOOKUP`, undefined, { timeout: ANSWER_WITHIN_MS });
      const jwt = (await orAbort(asked, signal, () => {})).string();
      if (jwt === '') throw new Error(`no server knows the account ${account}`);
      return jwt;
    },
    async lookUpOperators(signal, how) {
      const made = await orAbort(connection(), signal, () => {});
      if (how === 'anew' || operators?.of !== made) {
        const asked = made.request('$SYS.REQ.SERVER.PING.VARZ', undefined, { timeout: ANSWER_WITHIN_MS });
        const { data } = (await orAbort(asked, signal, () => {})).json<{
          data?: { trusted_operators_jwt?: string[] };
        }>();
        operators = { of: made, jwts: data?.trusted_operators_jwt ?? [] };
      }
      return operators.jwts;
    },
    push: (jwt, signal) => orAbort(push(jwt), signal, () => {}),
    drop,
    async close() {
      isClosed = true;
      const last = current;
      drop();
      await last?.then(
        (made) => made.closed(),
        () => {},
      );
    },
  };
}

async function open({ servers, tls, systemCredentials }: NatsAddress): Promise<NatsConnection> {
  const credentials = await systemCredentials();
  try {
    return await connect({
      servers: [...servers],
      // A vault keeps no last line break, and the library reads nothing without one.
      authenticator: credsAuthenticator(() => Buffer.concat([credentials.revealBytes(), Buffer.from('\n')])),
      // Whoever needs it next makes another, with the credentials of that time.
      reconnect: false,
      noEcho: true,
      ignoreClusterUpdates: true,
      timeout: CONNECT_WITHIN_MS,
      name: 'remit',
      ...(tls && { tls: {} }),
    });
  } finally {
    credentials.wipe();
  }
}

/** A server's answer: `{"server":{"id":…},"data":{"code":200,…}}`, or with `error` in place of `data`. */
function confirmedBy(text: string): string {
  const { server, data, error } = JSON.parse(text) as {
    server?: { id?: string };
    data?: { code?: number };
    error?: { description?: string };
  };
  if (data?.code === 200 && typeof server?.id === 'string') return server.id;
  throw new Error(`a server refused the account's change: ${error?.description ?? 'no reason given'}`);
}
