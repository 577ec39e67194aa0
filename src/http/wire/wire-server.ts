import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import type { HttpResponse, WholeRequest } from '../../gateway/edge/client-http.ts';
import type { Clock, Schedule } from '../../seams/clock.ts';
import { WireConnection, type WireHost } from './wire-connection.ts';

/** Answers a whole request, or says by false that Node's server should. */
export type TakeWhole = (request: WholeRequest, response: HttpResponse) => boolean;

export interface WireServer {
  /** Sets under which names, in lower case, this server may be addressed. Until then everything is Node's. */
  setHosts(hosts: ReadonlySet<string>): void;
  /** Connections end with the response that is under way or comes next; those without one stay. */
  endEach(): void;
  /** No more is begun, either. */
  drain(): void;
  /** Closes what has nothing under way. */
  closeIdle(): void;
  closeAll(): void;
}

const TICK_MS = 5_000;
/** So many ticks a connection may be silent: 25 to 30 s, as Node's server is told. */
const IDLE_TICKS = 6;

/**
 * Puts a reader of whole requests before a server of `node:http`. It takes what is plain; the server gets every connection on which anything
 * else is said, as if it had come to it first (design 0014).
 */
export function readOnWire(server: Server, clock: Clock, schedule: Schedule, take: TakeWhole): WireServer {
  const toNode = server.listeners('connection') as ((socket: Socket) => void)[];
  const connections = new Set<WireConnection>();
  let hosts: ReadonlySet<string> = new Set();
  let isClosing = false;
  let isTicking = false;
  let tick = 0;
  let dateSecond = -1;
  let date = '';

  const host: WireHost = {
    get hosts() {
      return hosts;
    },
    get isClosing() {
      return isClosing;
    },
    get tick() {
      return tick;
    },
    date() {
      const now = clock();
      const second = Math.floor(now / 1000);
      if (second !== dateSecond) {
        dateSecond = second;
        date = `Date: ${new Date(now).toUTCString()}\r\n`;
      }
      return date;
    },
    take,
    toNode(socket) {
      for (const listener of toNode) listener.call(server, socket);
    },
    forget: (connection) => void connections.delete(connection),
  };

  function step(): void {
    isTicking = connections.size > 0;
    if (!isTicking) return;
    tick += 1;
    schedule(TICK_MS, step);
    for (const connection of connections) {
      if (connection.isHalfSaid || tick - connection.lastTick >= IDLE_TICKS) connection.rest();
    }
  }

  server.removeAllListeners('connection');
  server.on('connection', (socket: Socket) => {
    if (isClosing) return host.toNode(socket);
    connections.add(new WireConnection(socket, host));
    if (isTicking) return;
    isTicking = true;
    schedule(TICK_MS, step);
  });

  const closeIdle = (): void => {
    for (const connection of connections) if (!connection.isBusy) connection.rest();
  };
  return {
    setHosts(names) {
      hosts = names;
    },
    endEach() {
      isClosing = true;
    },
    drain() {
      isClosing = true;
      closeIdle();
    },
    closeIdle,
    closeAll() {
      for (const { socket } of connections) socket.destroy();
    },
  };
}
