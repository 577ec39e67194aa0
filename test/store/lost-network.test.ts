import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type CutProxy, startCutProxy } from '../../crash/nodes/cut-proxy.ts';
import { createPostgresAdmin } from '../../src/adapters/issuers/postgres-admin.ts';
import { openPostgres } from '../../src/adapters/store/open-postgres.ts';
import { Secret } from '../../src/domain/secret.ts';
import type { Notice } from '../../src/seams/shared-store.ts';
import { type EmbeddedPostgres, startPostgres } from '../support/embedded-postgres.ts';
import { eventually } from '../support/governed-shop.ts';
import { ACME } from './samples.ts';

/** A PostgreSQL behind a network that lets nothing through and tells nobody: as when packets are dropped. `npm run crash -- --nodes` drops them really. */
let server: EmbeddedPostgres;
let way: CutProxy;
let url = '';

beforeAll(async () => {
  server = await startPostgres({ fsync: false });
  way = await startCutProxy(() => server.port);
  const through = new URL(server.url('postgres'));
  through.port = String(way.port);
  url = through.href;
});
afterAll(async () => {
  way.heal();
  await way.close();
  await server.stop();
});

const isHeard = (heard: readonly Notice[], count: number) =>
  eventually(
    'it listens',
    () => Promise.resolve(heard.length),
    (length) => length >= count,
  );

it('both ends of an idle connection look within seconds whether the other is there', async () => {
  const store = await openPostgres({ url: server.url('postgres') });
  const heard: Notice[] = [];
  const ear = store.shared?.notices.listen(ACME, (notice) => heard.push(notice));
  const { host, port, superuser, password } = server;
  const admin = createPostgresAdmin({
    ...{ host, port, database: 'postgres', adminUser: superuser, tls: false },
    adminPassword: async () => new Secret(password),
  });
  await isHeard(heard, 3);
  await admin.run((client) => client.query('select 1'), AbortSignal.timeout(5_000));
  const ends = await eventually('all are idle', keepAlives, (found) => found.length >= 6 && !found.includes(undefined));
  // Of PostgreSQL's and of Node's own accord, two hours.
  for (const seconds of ends) expect(seconds).toBeLessThanOrEqual(10);
  await ear?.stop();
  await store.close();
  await admin.close();
});

it('who listens can stop, whether it was cut off while it listened or before it was heard', {
  timeout: 15_000,
}, async () => {
  const store = await openPostgres({ url, statementMs: 200 });
  const heard: Notice[] = [];
  const ear = store.shared?.notices.listen(ACME, (notice) => heard.push(notice));
  await isHeard(heard, 3);
  way.cut();
  await ear?.stop();
  const unheard = store.shared?.notices.listen(ACME, (notice) => heard.push(notice));
  await unheard?.stop();
  await store.close();
  way.heal();
});

it('a process whose store cannot be reached any more can end', { timeout: 20_000 }, async () => {
  const other = spawn(process.execPath, ['--import', 'tsx', join(import.meta.dirname, 'cut-off-process.ts')], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, REMIT_TEST_STORE: url },
  });
  const ended = once(other, 'exit');
  await once(other.stdout, 'data');
  way.cut();
  other.stdin.end('stop');
  expect(await ended).toEqual([0, null]);
  way.heal();
});

/** What the kernel's table of sockets says of those to and from the server: seconds until it looks; undefined for one that does something else. */
async function keepAlives(): Promise<(number | undefined)[]> {
  const port = `:${server.port.toString(16).toUpperCase().padStart(4, '0')}`;
  const lines = (await readFile('/proc/self/net/tcp', 'latin1')).split('\n').map((line) => line.trim().split(/\s+/));
  // Established, of whichever end.
  const open = lines.filter(
    ([, own, other, state]) => state === '01' && (own?.endsWith(port) || other?.endsWith(port)),
  );
  return open.map(([, , , , , timer = '']) => {
    const [kind, ticks = ''] = timer.split(':');
    return kind === '02' ? Number.parseInt(ticks, 16) / 100 : undefined;
  });
}
