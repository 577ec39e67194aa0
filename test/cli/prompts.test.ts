import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Story } from '../../src/audit/tell-story.ts';
import type { AuditRecord } from '../../src/domain/record.ts';
import { BIN, endAll, type Home, makeHome, run, runJson, startUp, type Up, until } from './remit.ts';

/** Prompts on the trail, over a whole gateway, `remit connect` and the hook as Claude Code runs it. */

let home: Home;
let gateway: Up;
let client: Client;

const HELLO = 'sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824';

async function records(type: string): Promise<AuditRecord[]> {
  const { stdout } = await run(['audit', 'export', '--type', type, '--config', home.config]);
  return stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as AuditRecord);
}

async function runHook(prompt: string): Promise<string> {
  const settings = await runJson<{ hooks: { UserPromptSubmit: { hooks: { command: string }[] }[] } }>([
    'hook',
    'claude-code',
    '--agent',
    'my-agent',
    '--config',
    home.config,
  ]);
  const command = settings.hooks.UserPromptSubmit[0]?.hooks[0]?.command as string;
  // As the client does: by a shell, which is the client's own child.
  const child = spawn('sh', ['-c', command], { stdio: ['pipe', 'pipe', 'inherit'] });
  let out = '';
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString();
  });
  child.stdin.end(
    JSON.stringify({ session_id: 'session-1', prompt_id: 'p-1', hook_event_name: 'UserPromptSubmit', prompt }),
  );
  const [code] = await once(child, 'close');
  expect(code).toBe(0);
  return out;
}

const read = (meta?: Record<string, unknown>) =>
  client.callTool({
    name: 'files__read_text_file',
    arguments: { path: join(home.workspace, 'hello.txt') },
    ...(meta && { _meta: meta }),
  });

beforeAll(async () => {
  home = await makeHome();
  await writeFile(home.config, `prompts: text\n`, { flag: 'a' });
  gateway = await startUp(home.config);
  client = new Client({ name: 'test', version: '1' });
  await client.connect(
    new StdioClientTransport({
      command: process.execPath,
      args: [BIN, 'connect', '--agent', 'my-agent', '--config', home.config],
      stderr: 'ignore',
    }),
  );
});
afterAll(async () => {
  await client?.close().catch(() => {});
  await endAll();
});

describe('a prompt on the trail', () => {
  it('A2 comes by the hook, prints nothing to the model, and later decisions of the task name it', async () => {
    await read();
    expect(await runHook('hello')).toBe('');
    await read();
    const [before, after] = await records('decision');
    expect(before?.detail).not.toHaveProperty('prompt');
    expect(after?.detail.prompt).toBe(HELLO);
    const [prompt] = await records('prompt');
    expect(prompt).toMatchObject({
      trace: after?.trace,
      task: after?.task,
      agent: 'my-agent',
      detail: { digest: HELLO, source: 'hook', session: 'session-1', clientPromptId: 'p-1' },
    });
    expect((prompt?.seq ?? 0) < (after?.seq ?? 0)).toBe(true);
  });

  it('A5 holds its text sealed only', async () => {
    const { stdout } = await run(['audit', 'export', '--type', 'prompt', '--config', home.config]);
    expect(stdout).not.toContain('hello');
    const [prompt] = await records('prompt');
    expect(prompt?.sealed).toBeDefined();
  });

  it('A2 comes with a request, ahead of the decision on it, and is told in the story of the call', async () => {
    const digest = `sha256:${'ab'.repeat(32)}`;
    await read({ 'io.remit/prompt': digest });
    const last = (await records('decision')).at(-1);
    expect(last?.detail.prompt).toBe(digest);
    // The outcome is durable a moment after the answer.
    const story = await until(async () => {
      const told = await runJson<Story>(['audit', 'show', last?.span as string, '--config', home.config]);
      return told.steps.some(({ step }) => step === 'outcome') && told;
    }, 'the story has its outcome');
    expect(story.steps.map(({ step }) => step)).toEqual(
      expect.arrayContaining(['task', 'token', 'prompt', 'decision', 'outcome']),
    );
    expect(story.steps.find(({ step }) => step === 'prompt')?.record.detail).toEqual({ digest, source: 'request' });
  });

  it('comes with a task’s declaration', async () => {
    const file = join(home.folder, 'prompt.txt');
    await writeFile(file, 'hello');
    const { task } = await runJson<{ task: string }>([
      'task',
      'start',
      '--agent',
      'my-agent',
      '--template',
      await templateOf(),
      '--prompt-file',
      file,
      '--config',
      home.config,
    ]);
    const prompt = await until(
      async () => (await records('prompt')).find((record) => record.task === task),
      'the record',
    );
    expect(prompt.detail).toMatchObject({ digest: HELLO, source: 'declaration' });
  });

  it('needs the task’s token', async () => {
    const answer = await fetch(`${gateway.url}/task/prompt`, {
      method: 'POST',
      body: JSON.stringify({ prompt: HELLO }),
    });
    expect(answer.status).toBe(401);
    await expect
      .poll(() => records('authentication_refused'))
      .toEqual(
        expect.arrayContaining([expect.objectContaining({ detail: expect.objectContaining({ at: 'task prompt' }) })]),
      );
  });
});

async function templateOf(): Promise<string> {
  const [started] = await records('task_started');
  return started?.detail.template as string;
}
