import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** One request of a client that its server answers, as far as a harness looks into it. */
export interface Request {
  /** What it does, in the words of the protocol's reader, for example `create`. */
  readonly what: string;
  /** The object that it is about. */
  readonly tag: string | undefined;
}

/** Where a request is: before it is sent on, right after that, answered with the answer held back, answer passed on. */
export const POINTS = ['sent', 'delivered', 'answered', 'passed'] as const;
export type Point = (typeof POINTS)[number];

/**
 * What becomes of it at `sent` and `answered`: goes on, is lost with its connection, or goes on later. What waits is sent even when
 * whoever wrote it is gone by then, as a packet in a network is.
 */
export type Fate = 'pass' | 'lose' | { readonly afterMs: number };

export type Decide = (point: Point, request: Request) => Fate;

/** Takes one direction of a connection apart. A piece that holds a request, or ends an answer, says so. */
export interface Reader<T> {
  push(bytes: Buffer): Piece<T>[];
}

export interface Piece<T> {
  readonly bytes: Buffer;
  readonly mark: T | undefined;
}

export interface Protocol {
  requests(): Reader<Request>;
  /** `end` where an answer is whole, `free` for what belongs to none. */
  answers(): Reader<'end' | 'free'>;
}

export interface TcpProxy {
  readonly port: number;
  /** Connections that are open now. */
  readonly open: number;
  close(): Promise<void>;
}

/** A proxy on loopback that knows where in the conversation it is, and can delay, lose and hold back. */
export async function startTcpProxy(options: {
  readonly host: string;
  readonly port: number;
  readonly protocol: Protocol;
  readonly decide: Decide;
}): Promise<TcpProxy> {
  const open = new Set<Socket>();
  const server = createServer((client) => {
    open.add(client);
    client.once('close', () => open.delete(client));
    carry(client, connect(options.port, options.host), options.protocol, options.decide);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    get open() {
      return open.size;
    },
    async close() {
      for (const client of open) client.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

function carry(client: Socket, upstream: Socket, protocol: Protocol, decide: Decide): void {
  const requests = protocol.requests();
  const answers = protocol.answers();
  /** Sent on and not answered yet, oldest first. */
  const waiting: Request[] = [];
  let held: Buffer[] = [];
  const cut = (): void => {
    client.destroy();
    upstream.destroy();
  };
  for (const socket of [client, upstream]) {
    socket.setNoDelay(true);
    socket.on('error', () => {});
  }

  const up = createQueue();
  client.on('data', (bytes: Buffer) => {
    for (const { bytes: piece, mark } of requests.push(bytes)) {
      if (mark === undefined) up.add(() => void upstream.write(piece));
      else up.add(() => send(piece, mark));
    }
  });
  async function send(piece: Buffer, request: Request): Promise<void> {
    const fate = decide('sent', request);
    if (fate === 'lose') return cut();
    if (fate !== 'pass') await pause(fate.afterMs);
    if (upstream.destroyed) return;
    waiting.push(request);
    upstream.write(piece);
    decide('delivered', request);
  }

  const down = createQueue();
  upstream.on('data', (bytes: Buffer) => {
    for (const { bytes: piece, mark } of answers.push(bytes)) {
      if (mark === 'free') down.add(() => void client.write(piece));
      else if (mark === 'end') down.add(() => answer(piece));
      else down.add(() => void held.push(piece));
    }
  });
  async function answer(last: Buffer): Promise<void> {
    const request = waiting.shift();
    const whole = [...held, last];
    held = [];
    const fate = request === undefined ? 'pass' : decide('answered', request);
    if (fate === 'lose') return cut();
    if (fate !== 'pass') await pause(fate.afterMs);
    client.write(Buffer.concat(whole));
    if (request !== undefined) decide('passed', request);
  }

  // An end follows what was written before it, as it does where a process dies.
  client.on('close', () => up.add(() => void upstream.end()));
  upstream.on('close', () => down.add(() => void client.destroy()));
}

/** Steps one after the other; without a wait between them where none waits. */
function createQueue(): { add(step: () => Promise<void> | void): void } {
  let tail: Promise<void> | undefined;
  return {
    add(step) {
      if (tail === undefined) {
        const done = step();
        if (done === undefined) return;
        tail = done.then(() => {});
      } else tail = tail.then(step);
      const mine = tail;
      void mine.then(() => {
        if (tail === mine) tail = undefined;
      });
    },
  };
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
