import { createClient } from '@redis/client';
import type { Secret } from '../../domain/secret.ts';
import { orAbort } from './issuer-faults.ts';

/** Where and as whom the issuer administers users. */
export interface RedisAddress {
  readonly host: string;
  readonly port: number;
  /** An ACL user that may run ACL SETUSER and ACL DELUSER. */
  readonly adminUser: string;
  /** Asked at every new connection, so that a changed secret needs no restart. Undefined for a user without one. */
  readonly adminPassword: () => Promise<Secret | undefined>;
  readonly tls: boolean;
}

/** One admin connection, made when it is needed. */
export interface RedisAdmin {
  /** `host:port`, for messages. */
  readonly where: string;
  /**
   * Runs one command, never again by itself: a repeated one could arrive after the revoke that follows. Commands of one connection are
   * carried out in their order. @throws when the server refuses it, when the connection ends, and when the signal aborts
   */
  run(command: readonly string[], signal: AbortSignal): Promise<unknown>;
  /** Gives the connection up; what was sent may still be carried out. */
  drop(): void;
  close(): Promise<void>;
}

const CONNECT_WITHIN_MS = 5_000;
/** An unused connection is closed after this, so that none is used which the network has forgotten. */
const IDLE_MS = 30_000;

type Client = ReturnType<typeof openClient>;

export function createRedisAdmin(address: RedisAddress): RedisAdmin {
  const where = `${address.host}:${address.port}`;
  let current: Promise<Client> | undefined;
  let isClosed = false;

  function connection(): Promise<Client> {
    if (isClosed) return Promise.reject(new Error('the issuer is closed'));
    current ??= connect();
    return current;
  }

  function connect(): Promise<Client> {
    const client = openClient(address);
    // Whatever breaks it, the next command makes another; without a listener an error would end the process.
    client.on('error', forget);
    client.on('end', forget);
    const opening = client.connect().then(() => client);
    function forget(): void {
      if (current === opening) current = undefined;
    }
    opening.catch(() => {
      forget();
      end(client);
    });
    return opening;
  }

  function drop(): void {
    const dropped = current;
    current = undefined;
    dropped?.then(end, () => {});
  }

  return {
    where,
    async run(command, signal) {
      signal.throwIfAborted();
      const client = await orAbort(connection(), signal, () => {});
      signal.throwIfAborted();
      return orAbort(client.sendCommand(command as string[]), signal, () => {});
    },
    drop,
    async close() {
      isClosed = true;
      const last = current;
      drop();
      await last?.catch(() => {});
    },
  };
}

function end(client: Client): void {
  if (client.isOpen) client.destroy();
}

function openClient({ host, port, adminUser, adminPassword, tls }: RedisAddress) {
  const common = { host, port, connectTimeout: CONNECT_WITHIN_MS, socketTimeout: IDLE_MS, keepAlive: true };
  return createClient({
    socket: { ...common, reconnectStrategy: false, ...(tls ? { tls: true as const, servername: host } : {}) },
    // What cannot be sent now is not sent later.
    disableOfflineQueue: true,
    disableClientInfo: true,
    credentialsProvider: {
      type: 'async-credentials-provider',
      async credentials() {
        const password = (await adminPassword())?.reveal();
        return password === undefined ? {} : { username: adminUser, password };
      },
    },
  });
}
