import { type AddressInfo, createServer } from 'node:net';
import { expect, it } from 'vitest';
import { createPostgresAdmin } from '../../src/adapters/issuers/postgres-admin.ts';

/** A message of the server's: its type, then what it says. */
function message(type: string, ...parts: readonly (Buffer | string)[]): Buffer {
  const body = Buffer.concat(parts.map((part) => Buffer.from(part as string)));
  const head = Buffer.alloc(5);
  head.write(type, 0, 'latin1');
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

const LETS_IN = message('R', Buffer.alloc(4));
const READY = message('Z', 'I');
const SHUTS_DOWN = message('E', 'SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0', '\0');

it('a server that shuts down in the moment in which it lets one in fails what was to be done, and ends no process', async () => {
  const uncaught: unknown[] = [];
  const note = (error: unknown): void => void uncaught.push(error);
  const others = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException').on('uncaughtException', note);
  // All of it comes at once, as from a server whose host is busy.
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => socket.end(Buffer.concat([LETS_IN, READY, SHUTS_DOWN])));
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address() as AddressInfo;
  const admin = createPostgresAdmin({
    ...{ host: '127.0.0.1', port, database: 'shop', adminUser: 'remit', tls: false },
    adminPassword: async () => undefined,
  });
  try {
    const asking = admin.run((client) => client.query('select 1'), AbortSignal.timeout(10_000));
    await expect(asking).rejects.toThrow();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(uncaught).toEqual([]);
  } finally {
    process.removeAllListeners('uncaughtException');
    for (const listener of others) process.on('uncaughtException', listener);
    await admin.close();
    server.close();
  }
});
