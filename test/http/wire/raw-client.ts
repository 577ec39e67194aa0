import { connect, type Socket } from 'node:net';

/** A client that says just these bytes, and keeps what it hears. */
export interface RawClient {
  readonly socket: Socket;
  /** All that was heard, in latin1. */
  heard(): string;
  say(bytes: string | Buffer): void;
  /** Resolves when what was heard matches; rejects when the connection ends before. */
  hear(what: RegExp): Promise<string>;
  readonly closed: Promise<void>;
}

export async function openRaw(port: number): Promise<RawClient> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  let text = '';
  const waiting = new Set<() => void>();
  const wake = (): void => {
    for (const look of [...waiting]) look();
  };
  socket.on('data', (bytes) => {
    text += bytes.toString('latin1');
    wake();
  });
  socket.on('error', () => {});
  let isClosed = false;
  const closed = new Promise<void>((resolve) => {
    socket.on('close', () => {
      isClosed = true;
      resolve();
      wake();
    });
  });
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  return {
    socket,
    heard: () => text,
    say: (bytes) => void socket.write(bytes),
    hear: (what) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (what.test(text)) resolve(text);
          else if (isClosed) reject(new Error(`closed after: ${text.slice(0, 500)}`));
          else return;
          waiting.delete(look);
        };
        waiting.add(look);
        look();
      }),
    closed,
  };
}

/** Bytes in pieces that end at these places, each in a packet of its own as far as a socket can have it. */
export async function sayInPieces(client: RawClient, bytes: Buffer, places: readonly number[]): Promise<void> {
  const cuts = [...new Set(places.map((place) => Math.min(place, bytes.length)))].sort((a, b) => a - b);
  let from = 0;
  for (const to of [...cuts, bytes.length]) {
    if (to === from) continue;
    client.say(bytes.subarray(from, to));
    from = to;
    await new Promise((resolve) => setImmediate(resolve));
  }
}
