import pg from 'pg';
import { MIGRATIONS } from '../../src/adapters/store/migrations.ts';
import { THIS_PROGRAM } from '../gateway.ts';
import type { ClusterNode } from './cluster.ts';
import { makeFakeNewerVersion } from './fake-newer-version.ts';
import { judge } from './judge.ts';
import { buildOlderVersion } from './older-version.ts';
import { openProxyNetwork } from './proxy-network.ts';
import { openStage } from './stage.ts';
import { runUpgradeLoad } from './upgrade-load.ts';

const NODES = 3;
/** Three gateways that have just started, and their first calls, have the processors to themselves for so long. */
const WARM_MS = 3_000;
/** So long a reader of all tables is waited for from when on it is. */
const READER_MS = 5_000;
/** From which on a version can be told that it may go on with newer tables. */
const NEEDS_SINCE = 15;

/**
 * `npm run crash -- --upgrade`: gateways of an older version, built from this checkout's history, are replaced under load by a newer one, which changes
 * the tables that calls use, behind a long transaction; the last is killed, started once more as it was, and then as this version.
 * @returns whether no call was lost, none made twice, and no credential outlived its lease
 */
export async function runUpgrade(say: (text: string) => void): Promise<boolean> {
  const older = await buildOlderVersion();
  const newer = await makeFakeNewerVersion();
  const newest = MIGRATIONS.length + 1;
  say(
    `upgrade: from ${older.commit.slice(0, 12)}, schema ${older.schema}, to this version and one change more, schema ${newest}`,
  );
  const network = openProxyNetwork();
  const stage = await openStage({ count: NODES, database: 'store_upgrade', network, program: older.program });
  const { cluster, tools, storeUrl, alive } = stage;
  const findings: string[] = [];
  let isOver = false;
  let isCalm = false;
  const inService = new Set<ClusterNode>(cluster.nodes);
  const load = runUpgradeLoad(
    cluster,
    inService,
    () => isCalm,
    () => isOver,
  );
  try {
    await pause(WARM_MS);
    isCalm = true;
    await pause(WARM_MS);
    say(`  all older: longest call ${load.longestMs()} ms, ${load.lost.length} lost`);
    const [last, ...gracefully] = [...cluster.nodes].reverse();
    for (const [index, node] of gracefully.entries()) {
      inService.delete(node);
      const code = await node.process.stop();
      if (code !== 0) findings.push(`${node.name} ended with ${code} when it was asked to`);
      let isStarted = false;
      const reader = index === 0 ? readAtLeisure(storeUrl, () => isStarted) : Promise.resolve(true);
      await node.start(newer.program).serving;
      isStarted = true;
      if (!(await reader)) findings.push('the tables were changed and nobody waited for their reader');
      inService.add(node);
      await pause(2_000);
      const schema = await schemaOf(storeUrl);
      say(`  ${node.name} is newer, tables ${schema}: longest call ${load.longestMs()} ms, ${load.lost.length} lost`);
      if (schema !== newest) findings.push(`the tables are ${schema} beside a newer gateway`);
    }

    // The last of the older ones ends as no one planned it, and its supervisor starts it again as it was.
    isCalm = false;
    const killed = last as ClusterNode;
    inService.delete(killed);
    killed.process.kill();
    await killed.process.exited;
    const mayGoOn = older.schema >= NEEDS_SINCE && (await needed(storeUrl, older.schema)) <= older.schema;
    const isServing = await killed.start(older.program).serving.then(
      () => true,
      () => false,
    );
    const said = killed.process.log();
    if (isServing !== mayGoOn) findings.push(`the older version ${isServing ? 'serves' : `was refused: ${said}`}`);
    if (!isServing && !said.includes('ERR_STORE_SCHEMA')) findings.push(`it was refused for another reason: ${said}`);
    say(
      `  ${killed.name}, killed and started again as it was: ${isServing ? 'it goes on' : 'refused, ERR_STORE_SCHEMA'}`,
    );
    if (isServing) await killed.process.stop();
    // This version does not know those tables either, and is told that it may go on.
    await killed.start(THIS_PROGRAM).serving;
    inService.add(killed);
    isCalm = true;
    load.longestMs();
    await pause(4_000);
    say(
      `  ${killed.name} is this version, on newer tables: longest call ${load.longestMs()} ms, ${load.lost.length} lost`,
    );
    isOver = true;
    await load.over;
    findings.push(...(await stage.settle()).findings);
    const { duplicated, lost } = judge(tools.effects, load.stories);
    const answers = [...load.stories.calls.values()];
    const count = (what: string): number => answers.filter(({ answered }) => answered === what).length;
    const done = count('done');
    const missing = [...load.lost.map((one) => `${one.id} at ${one.node}, ${one.answered}: ${one.text}`), ...lost];
    for (const one of missing) say(`LOST ${one}`);
    for (const one of duplicated) say(`TWICE ${one}`);
    for (const [tag, why] of alive) say(`ALIVE ${tag}: ${why}`);
    for (const finding of findings) say(`FOUND ${finding}`);
    say(
      `upgrade: schema ${older.schema} to ${newest} under ${answers.length} calls of ${load.stories.tasks.size} tasks, ${done} done, ${count('refused')} refused and ${count('unknown')} not known at the start and while the killed node was away; lost: ${missing.length}; made twice: ${duplicated.length}; credentials alive beyond their lease: ${alive.size}; other findings: ${findings.length}`,
    );
    return missing.length + duplicated.length + alive.size + findings.length === 0 && done > 100;
  } finally {
    isOver = true;
    await stage.close();
    await newer.remove();
  }
}

/**
 * Reads every table in one long transaction, as `pg_dump` does: whoever changes one waits for it. But for the one that no call uses: it is changed first.
 * @returns whether somebody waited
 */
async function readAtLeisure(storeUrl: string, isOver: () => boolean): Promise<boolean> {
  return await withStore(storeUrl, async (store) => {
    const { rows } = await store.query<{ name: string }>(
      `SELECT quote_ident(tablename) AS name FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'remit_schema'`,
    );
    await store.query(`BEGIN; LOCK TABLE ${rows.map(({ name }) => name).join(', ')} IN ACCESS SHARE MODE`);
    let isWaitedFor = false;
    while (!isWaitedFor && !isOver()) {
      await pause(50);
      const waiting = await store.query(
        `SELECT 1 FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock' AND relation IS NOT NULL`,
      );
      isWaitedFor = waiting.rows.length > 0;
    }
    if (isWaitedFor) await pause(READER_MS);
    await store.query('ROLLBACK');
    return isWaitedFor;
  });
}

const schemaOf = (storeUrl: string): Promise<number> =>
  withStore(storeUrl, async (store) => {
    const { rows } = await store.query<{ version: number }>('SELECT max(version) AS version FROM remit_schema');
    return rows[0]?.version ?? 0;
  });

/** The least schema that a program has to know for what is newer than it. */
const needed = (storeUrl: string, known: number): Promise<number> =>
  withStore(storeUrl, async (store) => {
    const { rows } = await store.query<{ needs: number }>(
      'SELECT max(coalesce(needs, version)) AS needs FROM remit_schema WHERE version > $1',
      [known],
    );
    return rows[0]?.needs ?? 0;
  });

async function withStore<T>(storeUrl: string, use: (store: pg.Client) => Promise<T>): Promise<T> {
  const store = new pg.Client({ connectionString: storeUrl });
  store.on('error', () => {});
  await store.connect();
  try {
    return await use(store);
  } finally {
    await store.end();
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
