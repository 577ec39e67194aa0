/** fake-crash-tools over stdio: holds its credential in its environment and one session at the database. Listed in docs/fakes.md. */
import { createInterface } from 'node:readline';
import pg from 'pg';

const [port = '', database = ''] = process.argv.slice(2);
let client: Promise<pg.Client> | undefined;

async function connect(): Promise<pg.Client> {
  const opened = new pg.Client({ host: '127.0.0.1', port: Number(port), database });
  opened.on('error', () => {});
  await opened.connect();
  return opened;
}

async function look(): Promise<object> {
  try {
    client ??= connect();
    await (await client).query('SELECT count(*) FROM orders');
    return { content: [{ type: 'text', text: 'looked' }] };
  } catch {
    return { isError: true, content: [{ type: 'text', text: 'refused' }] };
  }
}

async function answer(method: string, protocolVersion: unknown): Promise<object> {
  switch (method) {
    case 'initialize':
      return {
        result: {
          protocolVersion,
          capabilities: { tools: {} },
          serverInfo: { name: 'fake-crash-tools', version: '1' },
        },
      };
    case 'ping':
      return { result: {} };
    case 'tools/list':
      return { result: { tools: [{ name: 'look', description: 'Look.', inputSchema: { type: 'object' } }] } };
    case 'tools/call':
      return { result: await look() };
    default:
      return { error: { code: -32601, message: 'Method not found' } };
  }
}

createInterface({ input: process.stdin }).on('line', async (line) => {
  const { id, method, params } = JSON.parse(line) as {
    id?: number;
    method: string;
    params?: { protocolVersion?: string };
  };
  if (id === undefined) return;
  process.stdout.write(
    `${JSON.stringify({ jsonrpc: '2.0', id, ...(await answer(method, params?.protocolVersion)) })}\n`,
  );
});
