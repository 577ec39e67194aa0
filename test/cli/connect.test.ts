import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Task } from '../../src/domain/task.ts';
import { isAlive } from '../support/fake-mcp-processes.ts';
import { findPort } from '../support/whole-gateway.ts';
import { endAll, type Home, makeHome, run, runJson, type Started, start, startUp, type Up, until } from './remit.ts';

/** `remit connect` as a client's child process, one JSON line at a time. */
let home: Home;
let gateway: Up;

beforeAll(async () => {
  home = await makeHome();
  gateway = await startUp(home.config);
});

afterAll(async () => {
  await gateway?.stop();
  await endAll();
});

interface Reply {
  readonly id: unknown;
  readonly result?: Record<string, unknown>;
  readonly error?: { readonly code: number; readonly message: string };
}

interface Session extends Started {
  readonly task: string;
  write(line: string): void;
  /** Waits for the next reply that was not yet taken. */
  next(): Promise<Reply>;
}

async function connect(): Promise<Session> {
  const started = start(['connect', '--agent', 'my-agent', '--config', home.config]);
  const task = await until(() => /task (tsk_\w+) started/.exec(started.stderr())?.[1], 'the task is started');
  let taken = 0;
  return {
    ...started,
    task,
    write: (line) => void started.child.stdin?.write(`${line}\n`),
    next: async () => {
      const line = await until(() => started.stdout().split('\n').slice(0, -1)[taken], 'a reply');
      taken += 1;
      return JSON.parse(line) as Reply;
    },
  };
}

const INITIALIZE =
  '{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}';
const ping = (id: number): string => `{"jsonrpc":"2.0","id":${id},"method":"ping"}`;

const taskOf = async (id: string): Promise<Task | undefined> =>
  (await runJson<Task[]>(['task', 'ls', '--all', '--config', home.config])).find((task) => task.id === id);

describe('remit connect', () => {
  it('writes nothing but JSON-RPC to standard output, and answers garbage with a parse error', async () => {
    const session = await connect();
    session.write('hello?');
    expect(await session.next()).toMatchObject({ id: null, error: { code: -32700 } });
    for (const line of ['null', '42', '"text"', '[]', '{}']) {
      session.write(line);
      expect(await session.next()).toMatchObject({ id: null, error: { code: -32600 } });
    }
    session.write('{"jsonrpc":"2.0","id":5,"method":"ping","method":"ping"}');
    expect(await session.next()).toMatchObject({ id: 5, error: { message: expect.stringContaining('duplicate key') } });
    session.write('');
    session.write(INITIALIZE);
    expect(await session.next()).toMatchObject({ id: 0, result: { serverInfo: { name: 'remit' } } });
    session.write('{"jsonrpc":"2.0","method":"notifications/initialized"}');
    session.write(ping(1));
    expect(await session.next()).toEqual({ jsonrpc: '2.0', id: 1, result: {} });
    session.child.stdin?.end();
    expect(await session.exited).toBe(0);
    expect(await taskOf(session.task)).toMatchObject({ state: 'ended', endReason: 'completed' });
  });

  it('answers what was asked before the client closed its end', async () => {
    const session = await connect();
    const path = join(home.workspace, 'hello.txt');
    session.write(
      JSON.stringify({
        jsonrpc: '2.0',
        id: 1,
        method: 'tools/call',
        params: { name: 'files__read_text_file', arguments: { path } },
      }),
    );
    session.child.stdin?.end();
    expect(await session.exited).toBe(0);
    expect(session.stdout()).toContain('Hello from the workspace.');
  });

  it.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)('V2 ends the task at %s', async (signal) => {
    const session = await connect();
    session.child.kill(signal);
    expect(await session.exited).toBe(0);
    expect(await taskOf(session.task)).toMatchObject({ state: 'ended', endReason: 'completed' });
  });

  it('V2 ends the task of a client that has died with its pipes', async () => {
    const session = await connect();
    session.write(ping(1));
    session.child.stdout?.destroy();
    session.write(ping(2));
    session.child.stdin?.end();
    await session.exited;
    await until(async () => (await taskOf(session.task))?.state === 'ended', 'the task has ended');
  });

  it('V2 a task that an administrator ended is refused to a client that goes on', async () => {
    const session = await connect();
    await runJson(['task', 'end', session.task, '--config', home.config]);
    session.write(ping(1));
    expect(await session.next()).toMatchObject({
      id: 1,
      error: { message: expect.stringMatching(/not a running task|has ended/) },
    });
    session.child.stdin?.end();
    expect(await session.exited).toBe(0);
  });

  it('answers with an error when the gateway was killed, goes on when another runs, and never hangs', async () => {
    const fixed = await makeHome();
    await fixed.edit('port: 0', `port: ${await findPort()}`);
    const killed = await startUp(fixed.config);
    const before = home;
    home = fixed;
    try {
      const session = await connect();
      session.write(ping(1));
      expect(await session.next()).toMatchObject({ id: 1, result: {} });
      killed.child.kill('SIGKILL');
      await killed.exited;
      session.write(ping(2));
      expect(await session.next()).toMatchObject({
        id: 2,
        error: { code: -32000, message: expect.stringContaining('Remit: ') },
      });
      const again = await startUp(fixed.config);
      session.write(ping(3));
      expect(await session.next()).toMatchObject({ id: 3, result: {} });
      again.child.kill('SIGKILL');
      await again.exited;
      session.child.stdin?.end();
      expect(await session.exited).toBe(0);
      expect(session.stderr()).toContain('cannot be reached');
      expect(isAlive(session.child.pid as number)).toBe(false);
      const human = await run(['task', 'end', session.task, '--config', fixed.config]);
      expect(human.code).toBe(14);
    } finally {
      home = before;
    }
  });
});
