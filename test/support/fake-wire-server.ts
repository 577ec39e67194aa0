import type { AddressInfo } from 'node:net';
import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';

/** A request as it was on the wire. */
export interface WireRequest {
  readonly head: string;
  readonly body: string;
}

export interface FakeWireServer {
  readonly url: URL;
  readonly seen: WireRequest[];
  /** Connections that there have been. */
  readonly sockets: Socket[];
  /** What it does when a request has come, whole. */
  answer: (socket: Socket, request: WireRequest) => void;
  close(): Promise<void>;
}

/** A server that says any bytes whatever. */
export async function startFakeWireServer(tls?: TlsOptions): Promise<FakeWireServer> {
  const sockets: Socket[] = [];
  const seen: WireRequest[] = [];
  const serve = (socket: Socket): void => {
    sockets.push(socket);
    socket.setNoDelay(true).on('error', () => {});
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      for (;;) {
        const end = text.indexOf('\r\n\r\n');
        if (end === -1) return;
        const length = Number(/\r\ncontent-length: (\d+)/.exec(text.slice(0, end))?.[1]);
        if (text.length < end + 4 + length) return;
        const body = Buffer.from(text.slice(end + 4, end + 4 + length), 'latin1').toString();
        const request = { head: text.slice(0, end), body };
        text = text.slice(end + 4 + length);
        seen.push(request);
        fake.answer(socket, request);
      }
    });
  };
  const server: Server = tls === undefined ? createServer(serve) : createTlsServer(tls, serve);
  server.on('tlsClientError', () => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const fake: FakeWireServer = {
    url: new URL(`${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}/mcp`),
    seen,
    sockets,
    answer: (socket, { body }) => socket.write(plainReply(body)),
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return fake;
}

/** A reply as servers give it nearly always. @param more header lines */
export function plainReply(body: string, ...more: string[]): string {
  const lines = ['Content-Type: application/json', `Content-Length: ${Buffer.byteLength(body)}`, ...more];
  return `HTTP/1.1 200 OK\r\n${lines.join('\r\n')}\r\n\r\n${body}`;
}
