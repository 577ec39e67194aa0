import { spawn } from 'node:child_process';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { noteClaudeCodePrompt } from '../../src/agent/claude-code-hook.ts';
import { ancestorsOf, clientAmong, readParent } from '../../src/agent/client-process.ts';
import { openPromptSocket, type PromptSocket, promptSocketPath } from '../../src/agent/prompt-socket.ts';

/** pid → [parent, name]: two clients under one shell, of which one runs another inside. */
const TREE: Readonly<Record<number, readonly [number, string]>> = {
  1: [0, 'init'],
  10: [1, 'bash'],
  20: [10, 'claude'],
  21: [20, 'sh'],
  22: [21, 'node'], // hook of 20
  23: [20, 'node'], // connect of 20
  30: [10, 'claude'],
  31: [30, 'sh'],
  32: [31, 'node'], // hook of 30
  33: [30, 'npm exec remit'],
  34: [33, 'sh'],
  35: [34, 'node'], // connect of 30, by way of npx
  40: [20, 'bash'],
  41: [40, 'claude'], // inside 20
  42: [41, 'node'], // its connect
  43: [41, 'node'], // its hook, without a shell
  50: [10, 'claude'],
  51: [50, 'sh'],
  52: [51, 'node'], // hook of a client that has no connect
};
const parentOf = async (pid: number) => {
  const known = TREE[pid];
  return known === undefined ? undefined : { parent: known[0], name: known[1] };
};

let folder: string;
const open: PromptSocket[] = [];
const took: { pid: number; prompt: object; about: object }[] = [];

async function listen(pid: number, take?: () => Promise<void>): Promise<void> {
  const socket = await openPromptSocket({
    folder,
    agent: 'bot',
    pid,
    take:
      take ??
      (async (prompt, about) => {
        took.push({ pid, prompt, about });
      }),
    onProblem: () => {},
  });
  if (socket !== undefined) open.push(socket);
}

const hook = (pid: number, more: object = {}) =>
  noteClaudeCodePrompt(JSON.stringify({ session_id: 's1', hook_event_name: 'UserPromptSubmit', prompt: 'hello' }), {
    folder,
    agent: 'bot',
    isTextSent: false,
    pid,
    parentOf,
    ...more,
  });

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'remit-hook-'));
  took.length = 0;
});
afterEach(async () => {
  for (const socket of open.splice(0)) await socket.close();
  await rm(folder, { recursive: true, force: true });
});

const HELLO = 'sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824';

describe('the hook of Claude Code', () => {
  it('tells the session that the same client started, and the digest only', async () => {
    await listen(23);
    await listen(35);
    expect(await hook(22)).toBe(1);
    expect(took).toEqual([{ pid: 23, prompt: { digest: HELLO }, about: { session: 's1' } }]);
    expect(await hook(32)).toBe(1);
    expect(took.at(-1)?.pid).toBe(35);
  });

  it('I1 never tells the session of a client that runs beside it', async () => {
    await listen(23);
    await listen(35);
    expect(await hook(52)).toBe(0);
    expect(took).toEqual([]);
  });

  it('takes the nearest of sessions, one within another', async () => {
    await listen(23);
    await listen(42);
    expect(await hook(43)).toBe(1);
    expect(took.at(-1)?.pid).toBe(42);
    expect(await hook(22)).toBe(1);
    expect(took.at(-1)?.pid).toBe(23);
  });

  it('knows nothing of another agent’s sessions', async () => {
    await listen(23);
    expect(await hook(22, { agent: 'other' })).toBe(0);
  });

  it('hands the text over when it is told to', async () => {
    await listen(23);
    await hook(22, { isTextSent: true });
    expect(took[0]?.prompt).toEqual({ text: 'hello' });
  });

  it('goes on without a session, with one that is gone, refuses or does not answer', async () => {
    expect(await hook(22)).toBe(0);
    await listen(23, () => Promise.reject(new Error('the gateway is gone')));
    expect(await hook(22)).toBe(0);
    await listen(23, () => new Promise(() => {}));
    expect(await hook(22, { timeoutMs: 50 })).toBe(0);
    expect(
      await noteClaudeCodePrompt('{"prompt":7}', { folder, agent: 'bot', isTextSent: false, pid: 22, parentOf }),
    ).toBe(0);
  });
});

describe('the socket of a session', () => {
  it('L6 is for its user alone', async () => {
    await listen(23);
    expect((await stat(promptSocketPath(folder, 'bot', 23))).mode & 0o777).toBe(0o600);
  });

  it('says so where its path is too long, and the session goes on', async () => {
    const problems: string[] = [];
    const socket = await openPromptSocket({
      folder: join(folder, 'x'.repeat(120)),
      agent: 'bot',
      pid: 1,
      take: async () => {},
      onProblem: (message) => problems.push(message),
    });
    expect(socket).toBeUndefined();
    expect(problems[0]).toContain('too long');
  });
});

describe('the shipped script', () => {
  const SCRIPT = resolve('bin/claude-code-hook.js');

  async function runScript(args: readonly string[], input: string): Promise<{ code: number | null; out: string }> {
    const child = spawn(process.execPath, [SCRIPT, ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
    let out = '';
    child.stdout.on('data', (chunk: Buffer) => {
      out += chunk.toString();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      out += chunk.toString();
    });
    child.stdin.end(input);
    return { code: await new Promise((done) => child.once('close', done)), out };
  }

  it.each([
    ['no JSON', 'not json'],
    ['no session', '{"prompt":"hello","session_id":"s1"}'],
    ['nothing', ''],
  ])('prints nothing and holds nothing up with %s', async (_, input) => {
    expect(await runScript([folder, 'bot'], input)).toEqual({ code: 0, out: '' });
    expect(await runScript([], input)).toEqual({ code: 0, out: '' });
  });
});

describe('processes', () => {
  it('of this machine have parents, up to the first', async () => {
    const ancestors = await ancestorsOf(process.pid, readParent);
    expect(ancestors[0]?.pid).toBe(process.ppid);
    expect(
      clientAmong([
        { pid: 5, name: 'sh' },
        { pid: 4, name: 'claude' },
      ]),
    ).toEqual({ pid: 4, name: 'claude' });
    expect(clientAmong([{ pid: 5, name: '-zsh' }])).toBeUndefined();
  });
});
