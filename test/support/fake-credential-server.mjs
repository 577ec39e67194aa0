/**
 * FAKE: stands for stdio servers of others that take a URL with a login in it: from the variable `SERVICE_URL`, or from the file that
 * `SERVICE_URL_FILE` names. Like most of them it does not start without one. Made with the official SDK. Never a part of the product.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { McpServer } from '@modelcontextprotocol/server';
import { serveStdio } from '@modelcontextprotocol/server/stdio';
import { createClient } from '@redis/client';
import { z } from 'zod';

const { SERVICE_URL, SERVICE_URL_FILE } = process.env;
const given = SERVICE_URL ?? readFileSync(SERVICE_URL_FILE ?? '/dev/null', 'utf8');
const url = new URL(given);
const password = decodeURIComponent(url.password);
const textOf = (text) => ({ content: [{ type: 'text', text }] });

/** Of `redis://` the value, over a connection that stays open; of any other the key's own name, and which secret it would be read with. */
let redis;
async function read(key) {
  if (url.protocol !== 'redis:') return `${key} by ${createHash('sha256').update(password).digest('hex')}`;
  if (redis === undefined) {
    redis = createClient({ url: given, socket: { reconnectStrategy: false } });
    redis.on('error', () => {});
    await redis.connect();
  }
  return String(await redis.get(key));
}

serveStdio(() => {
  const server = new McpServer({ name: 'fake-credential', version: '1.0.0' });
  const inputSchema = z.object({ id: z.string() });
  server.registerTool('look', { description: 'Looks one up.', inputSchema }, async ({ id }) => textOf(await read(id)));
  server.registerTool('tell', { description: 'Careless.', inputSchema }, () =>
    textOf(`I am in as ${given}, ${password}`),
  );
  return server;
});
