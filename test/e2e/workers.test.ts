import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { callAdmin } from '../../src/cli/admin-client.ts';
import { endAll, run, runJson, runToFail, startUp, type Up, until } from '../cli/remit.ts';
import { type FakeToolsServer, startFakeToolsServer } from '../support/fake-tools-http-server.ts';
import { at, makeNodesEstate, type NodesEstate } from '../support/gateway-nodes.ts';
import { callUnder, makeEstate, type OwnTask } from '../support/whole-gateway.ts';

/** One `remit up --workers 3`: four processes, one port, one real PostgreSQL. */
let office: FakeToolsServer;
let estate: NodesEstate;
let up: Up;
let sent = 0;

beforeAll(async () => {
  office = await startFakeToolsServer({ count: () => `call ${++sent}` });
  estate = await makeNodesEstate(1, {
    yaml: `journal: { publish: { file: published, everySeconds: 1 } }
connectors:
  office:
    owner: dana@shop.example
    protocol: modern
    transport: { http: { url: ${JSON.stringify(office.url)} } }
    tools:
      count: { class: write, source: { trust: trusted }, approvedBy: dana@shop.example }
templates:
  short: { owner: dana@shop.example, purpose: test, agents: [scribe], classes: [write], tools: ["office/*"], calls: 6 }
`,
  });
  up = await startUp(config(), 'serving', ['--workers', '3']);
});
afterAll(async () => {
  await endAll();
  await office?.close();
  await estate?.close();
});

const first = () => estate.nodes[0] as NodesEstate['nodes'][number];
const config = (): string => first().config;
const take = (): Promise<OwnTask> => estate.token(0, { template: 'short' });
const call = (task: OwnTask): Promise<string> => callUnder(at(first()), task, 'office__count', {});

interface WorkersReady {
  readonly workers: readonly { readonly worker: number; readonly pid: number }[];
}
const pids = (): number[] => (up.ready as unknown as WorkersReady).workers.map(({ pid }) => pid);

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** Which node owns which task. */
async function owners(): Promise<Map<string, string>> {
  const client = new Client({ connectionString: estate.postgres.url('postgres') });
  await client.connect();
  try {
    const { rows } = await client.query<{ task: string; owner: string }>('SELECT task, owner FROM task_places');
    return new Map(rows.map(({ task, owner }) => [task, owner]));
  } finally {
    await client.end();
  }
}

const statusOf = (worker: number): Promise<{ pid: number }> =>
  callAdmin(join(first().folder, '.remit', `worker-${worker}`, 'admin.sock'), 'status');

describe('workers', () => {
  it('are refused where they could share nothing', async () => {
    const alone = await makeEstate({ port: 7420, yaml: () => 'connectors: {}\ntemplates: {}\n' });
    const failure = await runToFail(['up', '--workers', '2', '--config', alone.config]);
    expect(failure).toMatchObject({ code: 'ERR_USAGE', where: 'store.kind' });
    expect(existsSync(join(alone.folder, '.remit', 'worker-1'))).toBe(false);
  });

  it('serve one port, each with tasks of its own, and count the calls of a task once', async () => {
    expect(pids()).toHaveLength(3);
    expect(new Set(pids()).size).toBe(3);
    const tasks = await Promise.all(Array.from({ length: 9 }, take));
    const owner = await owners();
    expect(new Set(tasks.map(({ task }) => owner.get(task))).size).toBe(3);
    const [task] = tasks as [OwnTask];
    const answers = await Promise.all(Array.from({ length: 8 }, () => call(task)));
    expect(answers.filter((answer) => answer.includes('call '))).toHaveLength(6);
    expect(answers.filter((answer) => answer.includes('budget'))).toHaveLength(2);
    expect(sent).toBe(6);
  });

  it('are told by the command line, fit into the database, and are ready', async () => {
    const nodes = await runJson<{ node: string; state: string; address: string; connections: number }[]>([
      'node',
      'ls',
      '--config',
      config(),
    ]);
    expect(nodes.map(({ state, connections }) => [state, connections])).toEqual(Array(3).fill(['here', 11]));
    expect(new Set(nodes.map(({ address }) => address)).size).toBe(3);
    const ready = await fetch(`${up.url}/readyz`);
    expect([ready.status, await ready.text()]).toEqual([200, '{"status":"ready"}']);
    const checks = JSON.parse((await run(['doctor', '--json', '--config', config()])).stdout) as { name: string }[];
    expect(checks.filter(({ name }) => name === 'nodes')).toMatchObject([
      { state: 'ok', what: '3 on this store, all as they should be' },
      { state: 'ok', what: expect.stringContaining('3 nodes may open 33 connections; the server has 97') },
    ]);
    expect(checks.filter(({ name }) => name.includes('journal'))).toMatchObject(
      [1, 2, 3].map((worker) => ({ name: `worker-${worker} journal`, state: 'ok' })),
    );
  });

  it('V1 bind an order that the command line gives to whichever answers, and it says which', async () => {
    const tasks = await Promise.all(Array.from({ length: 6 }, take));
    for (const task of tasks) expect(await call(task)).toContain('call ');
    const order = await run(['agent', 'suspend', 'scribe', '--reason', 'test', '--config', config()]);
    expect(order.code, order.stderr).toBe(0);
    expect(order.stderr).toContain('answered by worker-1');
    await until(
      async () => (await Promise.all(tasks.map(call))).every((answer) => answer.includes('suspended')),
      'all are suspended',
    );
    await run(['agent', 'resume', 'scribe', '--reason', 'test', '--config', config()]);
    await until(async () => (await call(tasks[0] as OwnTask)).includes('call '), 'it goes on');
  });

  it('one that is killed lets go of the connection that it was about to be given: its client hears of it', async () => {
    const killed = pids()[2] as number;
    process.kill(killed, 'SIGSTOP');
    // In turn: one of any three goes to the one that stands still, and is not taken.
    const clients = Array.from({ length: 3 }, () => connect(first().port, '127.0.0.1'));
    const answered = new Set<Socket>();
    const ended = new Set<Socket>();
    for (const client of clients) {
      client.on('data', () => answered.add(client)).on('error', () => {});
      client.on('close', () => ended.add(client));
      client.write('GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n');
    }
    await until(() => answered.size === 2, 'the others answer');
    process.kill(killed, 'SIGKILL');
    await until(() => ended.size === 1, 'the third client hears that its connection is gone');
    for (const client of clients) client.destroy();
    await until(() => statusOf(3).catch(() => undefined), 'the third is there again');
  });

  it('F8 one that is killed loses no budget, and is started again', async () => {
    const names = new Set(
      (await runJson<{ node: string }[]>(['node', 'ls', '--config', config()])).map(({ node }) => node),
    );
    const tasks = await Promise.all(Array.from({ length: 6 }, take));
    for (const task of tasks) expect(await call(task)).toContain('call ');
    const killed = pids()[1] as number;
    process.kill(killed, 'SIGKILL');
    await until(() => !isAlive(killed), 'it is gone');
    // A client's connections to it are gone too; whether one was before its call, only the client can know. And what was passed on to it is answered as unknown.
    const callAgain = (task: OwnTask): Promise<string> =>
      until(() => call(task).catch(() => undefined), 'a call has an answer');
    const answers = await Promise.all(
      tasks.map(async (task) => {
        const ofTask = await Promise.all(Array.from({ length: 6 }, () => callAgain(task)));
        while (!ofTask.some((answer) => answer.includes('budget')) && ofTask.length < 20) {
          ofTask.push(await callAgain(task));
        }
        return ofTask;
      }),
    );
    for (const ofTask of answers) {
      expect(ofTask.filter((answer) => answer.includes('call ')).length).toBeLessThanOrEqual(5);
      expect(ofTask.some((answer) => answer.includes('budget'))).toBe(true);
    }
    const again = await until(() => statusOf(2).catch(() => undefined), 'the second is there again');
    expect(again.pid).not.toBe(killed);
    // By the name that it had: what is left of it is its own.
    const seen = new Set<string | undefined>();
    await until(async () => {
      // By the command line, as each process has a connection of its own: those that tests have are with the others.
      const asked = ['task', 'start', '--agent', 'scribe', '--template', 'short', '--config', config()];
      const late = await Promise.all([1, 2, 3].map(() => runJson<{ task: string }>(asked)));
      const after = await owners();
      for (const { task } of late) seen.add(after.get(task));
      return seen.size === 3;
    }, 'it serves new tasks again');
    expect(names.size).toBe(3);
    expect(seen).toEqual(names);
  });

  it('end with who started them, whether it is told to or killed, and leave no process behind', async () => {
    const all = [up.pid, ...(await Promise.all([1, 2, 3].map(statusOf))).map(({ pid }) => pid)];
    expect(all.every(isAlive)).toBe(true);
    expect(await up.stop()).toBe(0);
    expect(all.filter(isAlive)).toEqual([]);
    const published = [1, 2, 3].map((worker) => readFile(join(first().folder, `published.worker-${worker}`), 'utf8'));
    const origins = (await Promise.all(published)).map((checkpoint) => checkpoint.split('\n')[0]);
    expect(new Set(origins).size, 'none replaces another’s').toBe(3);
    // Its one killed worker among them.
    const verified = await run(['audit', 'verify', '--json', '--config', config()]);
    expect(verified.code, verified.stderr).toBe(0);
    expect(JSON.parse(verified.stdout)).toMatchObject({ ok: true });

    const large = join(first().folder, 'large.yaml');
    const text = await readFile(config(), 'utf8');
    await writeFile(large, text.replace('store: { kind: postgres,', 'store: { kind: postgres, connections: 48,'));
    const failure = await runToFail(['up', '--workers', '2', '--config', large]);
    expect(failure).toMatchObject({ code: 'ERR_CONFIG_INVALID', where: 'store.connections' });
    expect(failure.message).toContain('2 nodes may open 98 connections; the server has 97');

    up = await startUp(config(), 'serving', ['--workers', '2']);
    const orphans = pids();
    process.kill(up.pid, 'SIGKILL');
    await until(() => !orphans.some(isAlive), 'workers without a parent end');
    for (const worker of [1, 2]) {
      const records = await run(['audit', 'tail', '-n', '3', '--json', '--config', config()], {
        env: { REMIT_WORKER: String(worker) },
      });
      expect(records.stdout).toContain('gateway_stopped');
    }
  });

  it('D1 are not ready, and say why, when they cannot confirm what they must', async () => {
    up = await startUp(config(), 'serving', ['--workers', '2']);
    await estate.postgres.stop();
    const answer = await until(async () => {
      const response = await fetch(`${up.url}/readyz`);
      return response.status === 503 && (await response.json());
    }, 'not ready');
    // Which of the two bounds is over first.
    expect(answer).toEqual({ status: 'not_ready', why: expect.stringMatching(/^(?:not a member|the revocation log)/) });
    expect((await fetch(`${up.url}/healthz`)).status).toBe(200);
  });
});
