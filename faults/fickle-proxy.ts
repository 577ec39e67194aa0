import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** `refuse` closes what is open and what comes; `hold` keeps every byte until it passes again. */
export type Mood = 'pass' | 'refuse' | 'hold' | { readonly slowMs: number };

export interface FickleProxy {
  readonly port: number;
  set(mood: Mood): void;
  close(): Promise<void>;
}

/** A TCP proxy on loopback: a database that is down, hangs or is slow. */
export async function startFickleProxy(target: number): Promise<FickleProxy> {
  let mood: Mood = 'pass';
  const open = new Set<Socket>();
  const held: (() => void)[] = [];
  const forward = (to: Socket, bytes: Buffer): void => {
    if (mood === 'hold') held.push(() => to.write(bytes));
    else if (typeof mood === 'object') setTimeout(() => to.write(bytes), mood.slowMs);
    else to.write(bytes);
  };
  const server = createServer((client) => {
    if (mood === 'refuse') {
      client.destroy();
      return;
    }
    const upstream = connect(target, '127.0.0.1');
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      open.add(from);
      from.on('data', (bytes) => forward(to, bytes));
      from.on('error', () => {});
      from.on('close', () => {
        open.delete(from);
        to.destroy();
      });
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    set(next) {
      mood = next;
      if (mood !== 'hold') for (const write of held.splice(0)) write();
      if (mood === 'refuse') for (const socket of open) socket.destroy();
    },
    async close() {
      for (const socket of open) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
