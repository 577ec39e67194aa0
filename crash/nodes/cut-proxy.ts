import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A way through the network that can be cut: nothing comes through, and nobody is told. */
export interface CutProxy {
  readonly port: number;
  cut(): void;
  /** What was under way is lost; what comes from now on gets through. */
  heal(): void;
  close(): Promise<void>;
}

/** In front of one port on loopback. */
export async function startCutProxy(port: () => number): Promise<CutProxy> {
  const open = new Set<Socket>();
  let isCut = false;
  // Half open: the end of one side, too, must be able to get lost.
  const server = createServer({ allowHalfOpen: true }, (client) => {
    open.add(client);
    client.on('error', () => client.destroy());
    client.once('close', () => open.delete(client));
    // As packets that nobody answers: it is neither refused nor let in.
    if (isCut) return;
    const upstream = connect({ port: port(), host: '127.0.0.1', allowHalfOpen: true });
    open.add(upstream);
    upstream.once('close', () => {
      open.delete(upstream);
      if (!isCut) client.destroy();
    });
    upstream.on('error', () => upstream.destroy());
    client.once('close', () => {
      if (!isCut) upstream.destroy();
    });
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      from.on('data', (piece) => {
        if (!isCut) to.write(piece);
      });
      from.on('end', () => {
        if (!isCut) to.end();
      });
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    cut() {
      isCut = true;
    },
    heal() {
      isCut = false;
      for (const socket of open) socket.destroy();
    },
    async close() {
      for (const socket of open) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
