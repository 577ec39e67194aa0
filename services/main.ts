import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startVitest, type TestModule } from 'vitest/node';
import { findHelm } from '../harness/helm.ts';
import { unpackDebian } from '../harness/install.ts';
import { startMariadb } from '../harness/mariadb.ts';
import { startNats } from '../harness/nats.ts';
import { startRadosGateway } from '../harness/radosgw.ts';
import { startRedis } from '../harness/redis.ts';
import { startSshd } from '../harness/sshd.ts';
import { WATCHER_PLAN } from '../src/adapters/upstreams/probe-containment.ts';
import { probeSandbox } from '../src/adapters/upstreams/probe-sandbox.ts';
import { startPostgres } from '../test/support/embedded-postgres.ts';
import type { Cost } from './measure.ts';

/**
 * `npm run services`: every issuer against the real thing that it issues for, the trail against a real bucket, the sandbox by the real bubblewrap, and the chart by Helm. What cannot be had here is named, and fails the run. The last
 * line has the figures.
 */

interface ServiceRun {
  readonly name: string;
  /** Files of tests, by their names. */
  readonly files: readonly string[];
  /** Rejects with the reason where it cannot be had here. */
  readonly probe: (folder: string) => Promise<void>;
}

const SERVICES: readonly ServiceRun[] = [
  {
    name: 'postgres',
    files: ['postgres.test.ts'],
    probe: async () => {
      const server = await startPostgres({ fsync: false });
      await server.stop();
    },
  },
  {
    name: 'redis',
    files: ['redis.test.ts'],
    probe: async (folder) => {
      const server = await startRedis({ folder: join(folder, 'redis') });
      await server.stop();
    },
  },
  {
    name: 'mariadb',
    files: ['mariadb.test.ts'],
    probe: async () => {
      const server = await startMariadb();
      await server.stop();
    },
  },
  {
    name: 'nats',
    files: ['nats.test.ts', 'nats-how-to.test.ts'],
    probe: async () => {
      const servers = await startNats();
      await servers.stop();
    },
  },
  {
    name: 'ssh',
    files: ['ssh.test.ts'],
    probe: async () => {
      const server = await startSshd();
      await server.stop();
    },
  },
  {
    name: 'radosgw',
    files: ['radosgw.test.ts'],
    probe: async () => {
      const server = await startRadosGateway();
      await server.stop();
    },
  },
  // In front of MariaDB, NATS and OpenSSH: what of them cannot be had is named above.
  { name: 'whole gateway', files: ['whole-gateway.test.ts'], probe: async () => {} },
  // A dependency of Remit's own: it is there.
  { name: 'oidc-provider', files: ['oidc-provider.test.ts'], probe: async () => {} },
  { name: 'oauth-refresh', files: ['oauth-refresh.test.ts'], probe: async () => {} },
  { name: 'id-jag', files: ['id-jag.test.ts'], probe: async () => {} },
  {
    name: 'helm',
    files: ['helm.test.ts'],
    probe: async (folder) => {
      await (await findHelm(folder)).helm(['version']);
    },
  },
  {
    name: 'bubblewrap',
    files: ['bubblewrap.test.ts'],
    probe: async () => {
      const root = await unpackDebian('bubblewrap', ['bubblewrap', 'libcap2']);
      process.env.PATH = `${join(root, 'usr/bin')}:${process.env.PATH ?? ''}`;
      const support = await probeSandbox(process.env.PATH, WATCHER_PLAN);
      if (!support.isUsable) throw new Error(support.reason);
    },
  },
];

async function main(): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), 'remit-services-'));
  const costs = join(folder, 'costs.jsonl');
  process.env.REMIT_SERVICES_COSTS = costs;
  try {
    const missing = new Map<string, string>();
    for (const { name, probe } of SERVICES) {
      await probe(folder).catch((error: unknown) => missing.set(name, messageOf(error)));
    }
    const wanted = SERVICES.filter(({ name }) => !missing.has(name));
    const files = wanted.flatMap((one) => one.files);
    const results = await runTests(files);
    const figures = parseCosts(await readFile(costs, 'utf8').catch(() => ''));
    for (const [name, reason] of missing) process.stdout.write(`NOT HERE  ${name}: ${reason}\n`);
    const parts = SERVICES.map(({ name, files: named }) => {
      if (missing.has(name)) return `${name} not here`;
      const own = results.filter(({ file }) => named.includes(file));
      const cost = figures.find(({ service }) => service === name);
      const costText =
        cost === undefined ? '' : ` (issue ${cost.issue.toFixed(2)} ms, revoke ${cost.revoke.toFixed(2)} ms p50)`;
      const isPassed = own.length === named.length && own.every((one) => one.isPassed);
      return `${name} ${sum(own, 'passed')}/${sum(own, 'total')}${isPassed ? '' : ' FAILED'}${costText}`;
    });
    process.stdout.write(`services: ${parts.join('; ')}\n`);
    return missing.size === 0 && results.length === files.length && results.every((one) => one.isPassed);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

interface FileResult {
  readonly file: string;
  readonly isPassed: boolean;
  readonly passed: number;
  /** Without those that say why they do not apply. */
  readonly total: number;
}

async function runTests(files: readonly string[]): Promise<FileResult[]> {
  const vitest = await startVitest('test', [], {
    config: false,
    include: files.map((file) => `services/${file}`),
    watch: false,
    pool: 'forks',
    maxWorkers: 1,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    reporters: ['default'],
  });
  const results = vitest.state.getTestModules().map(resultOf);
  await vitest.close();
  return results;
}

function resultOf(module: TestModule): FileResult {
  const states = [...module.children.allTests()].map((test) => test.result().state);
  return {
    file: module.moduleId.slice(module.moduleId.lastIndexOf('/') + 1),
    isPassed: module.ok() && states.length > 0,
    passed: states.filter((state) => state === 'passed').length,
    total: states.filter((state) => state !== 'skipped').length,
  };
}

function sum(results: readonly FileResult[], key: 'passed' | 'total'): number {
  return results.reduce((total, result) => total + result[key], 0);
}

function parseCosts(text: string): Cost[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Cost);
}

const messageOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).split('\n', 1)[0] ?? '';

main().then(
  (isPassed) => {
    process.exitCode = isPassed ? 0 : 1;
  },
  (error: unknown) => {
    process.stderr.write(`services failed: ${error instanceof Error ? error.stack : String(error)}\n`);
    process.exit(1);
  },
);
