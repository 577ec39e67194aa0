/*
 * A network that loses packets tells nobody. A side that waits for what it has sent to be taken gives up after about a quarter of an hour, and one that only listens never does, or after
 * two hours where keep-alive is on: so both are told to look sooner.
 */

/** For `pg`, at our end: how long nothing may be heard before it is looked whether the server is there; a lost one is noticed ten seconds later (`net.Socket.setKeepAlive`). */
export const LOOKS_FOR_SERVER = { keepAlive: true, keepAliveInitialDelayMillis: 10_000 } as const;

/**
 * At the server's end: a session of a client that is gone without a word holds its locks, its place among `max_connections` and, where a lease opened it, its rights.
 * It ends within 25 seconds. Settings that any role may make; they do nothing on a Unix socket.
 */
export const SERVER_LOOKS_FOR_US: Readonly<Record<string, number>> = {
  tcp_keepalives_idle: 10,
  tcp_keepalives_interval: 5,
  tcp_keepalives_count: 3,
  tcp_user_timeout: 20_000,
};

/** As the `options` of a connection. */
export const asOptions = (settings: Readonly<Record<string, string | number>>): string =>
  Object.entries(settings)
    .map(([name, value]) => `-c ${name}=${value}`)
    .join(' ');
