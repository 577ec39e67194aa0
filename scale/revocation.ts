import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type Socket } from 'node:net';
import { percentile } from '../bench/load.ts';
import { postMessage } from '../harness/post-message.ts';
import { callAdmin } from '../src/cli/admin-client.ts';
import { startPostgres } from '../test/support/embedded-postgres.ts';
import { makeEstate, type ScaleEstate, type ScaleNode, SMALL, TOOL } from './estate.ts';
import type { PartResult, Setting } from './main.ts';

const NODES = 3;
/** As issue and guarantee have it: with notices, and with every one of them lost. */
const P99_MS = 100;
const BOUND_MS = 1_000;

/** How long after its acknowledgement by one node an order binds on the others, with notices and with every one of them lost. */
export async function measureRevocation({ isQuick, toolsPort, say }: Setting): Promise<PartResult> {
  const trials = isQuick ? 20 : 200;
  const figures: string[] = [];
  const short: string[] = [];
  say(`\n${'revocation to'.padEnd(26)}     p50 ms     p99 ms     most ms`);
  for (const areLost of [false, true]) {
    const postgres = await startPostgres({ fsync: true });
    const way = await startDeafWay(postgres.port);
    let estate: ScaleEstate | undefined;
    try {
      const url = new URL(postgres.url('postgres'));
      if (areLost) url.port = String(way.port);
      estate = await makeEstate({ count: NODES, size: SMALL, toolsPort, storeUrl: () => url.href });
      const took: number[] = [];
      for (let trial = 0; trial < trials; trial++) took.push(await tryOnce(estate, trial));
      took.sort((a, b) => a - b);
      const [p50, p99, most] = [percentileOf(took, 0.5), percentileOf(took, 0.99), took.at(-1) ?? 0];
      const name = areLost ? 'every notice lost' : 'with notices';
      say(
        `${`${NODES - 1} others, ${name}`.padEnd(26)} ${[p50, p99, most].map((ms) => ms.toFixed(1).padStart(10)).join(' ')}`,
      );
      figures.push(`${name} p50 ${p50.toFixed(1)}, p99 ${p99.toFixed(1)} ms`);
      if (!areLost && p99 > P99_MS) short.push(`revocation p99 ${p99.toFixed(0)} ms with notices (at most ${P99_MS})`);
      if (most > BOUND_MS) short.push(`a revocation bound after ${most.toFixed(0)} ms (at most ${BOUND_MS})`);
    } finally {
      await estate?.close();
      await way.close();
      await postgres.stop();
    }
  }
  return { figure: `revocation ${figures.join('; ')}`, short };
}

const percentileOf = (sorted: readonly number[], share: number): number => percentile(Float64Array.from(sorted), share);

/** Suspends a task by another node than its own, calls on it until that is refused, and ends it: an agent has a hundred at most, over all nodes. @returns milliseconds; 0 where the first call after it was */
async function tryOnce(estate: ScaleEstate, trial: number): Promise<number> {
  const owner = trial % NODES;
  const by = estate.nodes[(owner + 1 + (trial % (NODES - 1))) % NODES] as ScaleNode;
  const { url } = estate.nodes[owner] as ScaleNode;
  const { task, token } = await estate.openTask(owner);
  if (!(await isServed(url, token))) throw new Error('a task is not served before anything was ordered');
  await callAdmin(by.socket, 'revoke', { action: 'suspend', kind: 'task', id: task, reason: 'measured' });
  const acknowledgedAt = performance.now();
  for (;;) {
    const sentAt = performance.now();
    if (!(await isServed(url, token))) {
      await callAdmin(by.socket, 'end-task', { task });
      return Math.max(0, sentAt - acknowledgedAt);
    }
    if (sentAt - acknowledgedAt > 10 * BOUND_MS) throw new Error('a suspension does not bind');
  }
}

async function isServed(url: string, token: string): Promise<boolean> {
  const params = { name: TOOL, arguments: { value: 'x', call: '1' } };
  const response = await postMessage(url, token, { id: 1, method: 'tools/call', params });
  return !(await response.text()).includes('"isError":true');
}

/** A way to the database on which nobody can listen: what says in its first bytes that it wants to is never answered. */
async function startDeafWay(port: number): Promise<{ readonly port: number; close(): Promise<void> }> {
  const open = new Set<Socket>();
  const server = createServer((client) => {
    open.add(client);
    client.on('error', () => client.destroy());
    client.once('close', () => open.delete(client));
    client.once('data', (first) => {
      // The startup message names the application in clear (PostgreSQL protocol 3.0, StartupMessage).
      if (first.includes('remit notices')) return;
      const upstream = connect(port, '127.0.0.1');
      open.add(upstream);
      upstream.once('close', () => {
        open.delete(upstream);
        client.destroy();
      });
      upstream.on('error', () => upstream.destroy());
      client.once('close', () => upstream.destroy());
      upstream.write(first);
      client.pipe(upstream);
      upstream.pipe(client);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      for (const socket of open) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
