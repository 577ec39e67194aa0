/**
 * FAKE: stands for stdio servers in front of a MariaDB, a NATS or hosts that are logged in to by SSH; which, the variables tell that it gets its
 * credential by. Made with the official SDK and the real clients. Never a part of the product.
 */
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { McpServer } from '@modelcontextprotocol/server';
import { serveStdio } from '@modelcontextprotocol/server/stdio';
import { connect, credsAuthenticator } from '@nats-io/transport-node';
import { createConnection } from 'mysql2/promise';
import { z } from 'zod';

const { DATABASE_URL, NATS_URL, NATS_CREDS, NATS_INBOX_PREFIX, SSH_AT, SSH_KEY_FILE, SSH_CERTIFICATE_FILE } =
  process.env;
const textOf = (text) => ({ content: [{ type: 'text', text }] });

let held;
async function readDatabase(id) {
  held ??= await createConnection(DATABASE_URL);
  const [rows] = await held.query('SELECT note FROM shop.orders WHERE id = ?', [id]);
  return rows[0]?.note ?? 'none';
}

async function askBus(id) {
  held ??= await connect({
    servers: NATS_URL,
    authenticator: credsAuthenticator(readFileSync(NATS_CREDS)),
    inboxPrefix: NATS_INBOX_PREFIX,
    reconnect: false,
  });
  return (await held.request('orders.ask', id, { timeout: 5_000 })).string();
}

async function logIn(id) {
  const key = join(process.env.HOME, 'key');
  writeFileSync(key, readFileSync(SSH_KEY_FILE), { mode: 0o600 });
  writeFileSync(`${key}-cert.pub`, `${readFileSync(SSH_CERTIFICATE_FILE, 'utf8')}\n`);
  const options = ['BatchMode=yes', 'IdentitiesOnly=yes', 'StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null'];
  const flags = [...options, 'LogLevel=ERROR', `CertificateFile=${key}-cert.pub`].flatMap((one) => ['-o', one]);
  const [user, port] = SSH_AT.split(':');
  const { stdout } = await promisify(execFile)('ssh', [
    '-F',
    'none',
    '-i',
    key,
    '-p',
    port,
    ...flags,
    `${user}@127.0.0.1`,
    id,
  ]);
  return stdout.trim();
}

const look = DATABASE_URL !== undefined ? readDatabase : NATS_URL !== undefined ? askBus : logIn;
/** All that it was given. */
const given = () =>
  [DATABASE_URL, ...[NATS_CREDS, SSH_KEY_FILE].map((file) => file && readFileSync(file, 'utf8'))]
    .filter(Boolean)
    .join('\n');
const told = given();

serveStdio(() => {
  const server = new McpServer({ name: 'fake-service', version: '1.0.0' });
  const inputSchema = z.object({ id: z.string() });
  server.registerTool('look', { description: 'Looks one up.', inputSchema }, async ({ id }) => textOf(await look(id)));
  server.registerTool('tell', { description: 'Careless.', inputSchema }, () => textOf(`I have ${told}`));
  return server;
});
