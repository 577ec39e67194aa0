import { readFile, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Story } from '../../src/audit/tell-story.ts';
import type { AuditRecord } from '../../src/domain/record.ts';
import type { Task } from '../../src/domain/task.ts';
import type { Access } from '../../src/inventory/who-can.ts';
import { processesWith } from '../support/fake-mcp-processes.ts';
import { BIN, endAll, type Home, makeHome, run, runJson, runToFail, startUp, type Up, until } from './remit.ts';

// What a user does with Remit, in order, in one folder. Later steps rest on earlier ones.
let home: Home;
let gateway: Up;

const cli = <T>(...args: string[]): Promise<T> => runJson<T>([...args, '--config', home.config]);
const tasks = (...args: string[]): Promise<Task[]> => cli<Task[]>('task', 'ls', ...args);

async function records(...args: string[]): Promise<AuditRecord[]> {
  const { code, stdout, stderr } = await run([
    'audit',
    'tail',
    '-n',
    '1000',
    '--json',
    '--config',
    home.config,
    ...args,
  ]);
  if (code !== 0) throw new Error(stderr);
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as AuditRecord);
}

interface ToolResult {
  readonly isError?: boolean;
  readonly content: readonly { readonly text?: string }[];
}
const textOf = (result: ToolResult): string => result.content.map((part) => part.text ?? '').join('\n');

const serverProcesses = (): number[] => processesWith('cmdline', home.workspace);
const noServerProcess = (): Promise<boolean> =>
  until(() => serverProcesses().length === 0, 'the connector’s processes are gone');

beforeAll(async () => {
  home = await makeHome();
  await writeFile(
    join(home.folder, 'policies', 'only-workspace.cedar'),
    `@id("only-workspace")
@reason("Only the workspace may be read.")
@next("Choose a file in the workspace.")
forbid (principal, action == Remit::Action::"files/read_text_file", resource)
unless { context.args.path like "${home.workspace}/*" };
`,
  );
  gateway = await startUp(home.config);
});

afterAll(async () => {
  await gateway?.stop();
  await endAll();
});

async function connect(): Promise<{ client: Client; transport: StdioClientTransport }> {
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [BIN, 'connect', '--agent', 'my-agent', '--purpose', 'Read the greeting', '--config', home.config],
    stderr: 'ignore',
  });
  const client = new Client({ name: 'test-client', version: '1.0.0' });
  await client.connect(transport);
  return { client, transport };
}

describe('a session of an MCP client over remit connect', () => {
  let client: Client;
  let pid: number;
  let task: Task;
  let span: string;
  let gone: Promise<void>;
  const call = async (name: string, args: Record<string, unknown>): Promise<ToolResult> =>
    (await client.callTool({ name, arguments: args })) as ToolResult;

  beforeAll(async () => {
    const { client: connected, transport } = await connect();
    client = connected;
    pid = transport.pid as number;
    gone = new Promise((done) => {
      transport.onclose = done;
    });
    const [only] = await tasks();
    task = only as Task;
  });

  it('starts one task with its purpose, and shows exactly its described tools', async () => {
    expect(await tasks()).toEqual([
      expect.objectContaining({
        agent: 'my-agent',
        template: 'read-files',
        purpose: 'Read the greeting',
        state: 'active',
      }),
    ]);
    const { tools } = await client.listTools();
    expect(tools.map(({ name }) => name).sort()).toEqual(['files__list_directory', 'files__read_text_file']);
  });

  it('serves a permitted call from the real filesystem server', async () => {
    const result = await call('files__read_text_file', { path: join(home.workspace, 'hello.txt') });
    expect(textOf(result)).toContain('Hello from the workspace.');
    expect(result.isError ?? false).toBe(false);
    expect(serverProcesses().length).toBeGreaterThan(0);
  });

  it('D1 denies an undescribed tool and a forbidden path, with policy and next step', async () => {
    const undescribed = await call('files__write_file', { path: join(home.workspace, 'x'), content: 'x' });
    expect(undescribed.isError).toBe(true);
    expect(textOf(undescribed)).toMatch(/remit:undescribed[\s\S]*Next step:/);
    const outside = await call('files__read_text_file', { path: '/etc/hostname' });
    expect(outside.isError).toBe(true);
    expect(textOf(outside)).toContain(
      'Only the workspace may be read. [policy: only-workspace]\nNext step: Choose a file in the workspace.',
    );
    const climbing = await call('files__read_text_file', { path: `${home.workspace}/../remit.yaml` });
    expect(climbing.isError).toBe(true);
    expect(textOf(climbing)).toContain('[policy: remit:arguments]');
    await expect(readFile(join(home.workspace, 'x'))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('A2 leaves one trail: discovery, decisions with verdicts, an outcome, all with agent, task and trace', async () => {
    const trail = await until(async () => {
      const found = await records('--task', task.id);
      return found.some(({ type }) => type === 'outcome') && found;
    }, 'the outcome is recorded');
    expect(new Set(trail.map(({ trace }) => trace))).toEqual(new Set([task.trace]));
    expect(new Set(trail.map(({ agent }) => agent))).toEqual(new Set(['my-agent']));
    const decisions = trail.filter(({ type }) => type === 'decision');
    expect(decisions.map(({ detail }) => detail.verdict)).toEqual(['permit', 'deny', 'deny', 'deny']);
    span = decisions[0]?.span as string;
    expect(trail.filter((record) => record.span === span).map(({ type }) => type)).toEqual(['decision', 'outcome']);
    const typed = await records('--task', task.id, '--type', 'decision,outcome');
    expect(new Set(typed.map(({ type }) => type))).toEqual(new Set(['decision', 'outcome']));
  });

  it('who-can answers with the live task and the standing grant behind it', async () => {
    const answer = await cli<Access[]>('who-can', '--tool', 'files/read_text_file');
    expect(answer.map(({ kind }) => kind)).toEqual(['live', 'standing']);
    expect(answer[0]).toMatchObject({
      agent: 'my-agent',
      agentOwner: 'dana@shop.example',
      actionClass: 'read',
      purpose: 'Read the greeting',
      task: task.id,
      approvedBy: 'dana@shop.example',
    });
    expect(await cli<Access[]>('who-can', '--agent', 'nobody')).toEqual([]);
    const human = await run(['who-can', '--tool', 'files/read_text_file', '--config', home.config]);
    expect(human.stdout).toMatch(/NOW\s+my-agent \(owner dana@shop\.example\)/);
  });

  it('A5 shows the sealed arguments of a call to who has the vault key, and only then', async () => {
    const path = join(home.workspace, 'hello.txt');
    const opened = await cli<Story & { contents: Record<string, string> }>(
      'audit',
      'show',
      span,
      '--content',
      '--reason',
      'incident 7',
    );
    const reads = (await records()).filter(({ type }) => type === 'content_read');
    expect(reads.at(-1)).toMatchObject({
      task: task.id,
      detail: { about: span, reason: 'incident 7', by: userInfo().username },
    });
    expect(await runToFail(['audit', 'show', span, '--content', '--config', home.config])).toMatchObject({
      code: 'ERR_USAGE',
    });
    const decided = opened.steps.find(({ step }) => step === 'decision')?.record.seq as number;
    expect(JSON.parse(opened.contents[decided] as string)).toEqual({ path });
    const closed = await run(['audit', 'show', span, '--json', '--config', home.config]);
    expect(closed.stdout).not.toContain('hello.txt');
  });

  it('will not erase the key of a task that runs, nor one that is no task’s', async () => {
    // What clients carry is sealed with it: without it no gateway of this store could go on.
    expect(await runToFail(['audit', 'erase', 'state-key', '--config', home.config])).toMatchObject({
      code: 'ERR_USAGE',
    });
    expect(await runToFail(['audit', 'erase', task.id, '--config', home.config])).toMatchObject({
      code: 'ERR_USAGE',
      hint: expect.stringContaining('task end'),
    });
  });

  it('V2 ends the task when the client closes, and leaves no process behind', async () => {
    await client.close();
    await gone;
    await until(() => !processesWith('cmdline', home.config).includes(pid), 'remit connect is gone');
    const ended = await until(
      async () => (await tasks('--all')).find(({ id, state }) => id === task.id && state === 'ended'),
      'the task has ended',
    );
    expect(ended.endReason).toBe('completed');
    await noServerProcess();
  });

  it('A5 erases the key of the ended task: the content is gone, the trail still verifies', async () => {
    expect(await cli('audit', 'erase', task.id)).toEqual({ task: task.id, erased: true });
    expect(
      await runToFail(['audit', 'show', span, '--content', '--reason', 'again', '--config', home.config]),
    ).toMatchObject({
      code: 'ERR_NOT_FOUND',
      message: expect.stringContaining('erased'),
    });
    expect((await cli<Story>('audit', 'show', span)).steps.map(({ step }) => step)).toEqual([
      'task',
      'token',
      'discovery',
      'decision',
      'outcome',
      'task',
    ]);
    expect(await runToFail(['audit', 'erase', task.id, '--config', home.config])).toMatchObject({
      code: 'ERR_NOT_FOUND',
    });
    const verified = await cli<{ ok: boolean; size: number; checkpoints: number }>('audit', 'verify');
    expect(verified).toMatchObject({ ok: true });
    expect(verified.size).toBeGreaterThan(8);
    expect(verified.checkpoints).toBeGreaterThan(0);
  });
});

describe('tasks by hand', () => {
  const tokenTask = (token: string): string =>
    (JSON.parse(Buffer.from(token.split('.')[1] as string, 'base64url').toString()) as { task: string }).task;

  it('token goes on with the same task while it lives, and starts another when it has ended', async () => {
    const headers = async (): Promise<string> => {
      const { Authorization } = JSON.parse(
        (await run(['token', '--headers', '--agent', 'my-agent', '--config', home.config])).stdout,
      ) as { Authorization: string };
      expect(Authorization).toMatch(/^Bearer [\w-]+\.[\w-]+\.[\w-]+$/);
      return tokenTask(Authorization.slice('Bearer '.length));
    };
    const first = await headers();
    expect(await headers()).toBe(first);
    const printed = await cli<{ token: string; task: string }>('token', '--agent', 'my-agent');
    expect(printed.task).toBe(first);
    expect(tokenTask(printed.token)).toBe(first);
    expect(await cli('task', 'end', first)).toMatchObject({ task: first, ended: true });
    expect(await headers()).not.toBe(first);
  });

  it('task start narrows a template, ls lists, end ends once', async () => {
    const started = await cli<{ task: string; access_token: string; mcp: string; purpose: string }>(
      'task',
      'start',
      '--agent',
      'my-agent',
      '--template',
      'read-files',
      '--tools',
      'files/list_directory',
      '--calls',
      '3',
      '--seconds',
      '60',
      '--purpose',
      'Look once',
    );
    expect(started).toMatchObject({ purpose: 'Look once', mcp: `${gateway.url}/mcp` });
    const listed = (await tasks()).find(({ id }) => id === started.task);
    expect(listed?.bounds).toMatchObject({ tools: ['files/list_directory'], calls: 3 });
    expect((listed?.expiresAt as number) - (listed?.startedAt as number)).toBe(60_000);
    expect(await cli('task', 'end', started.task)).toMatchObject({ ended: true });
    expect(await cli('task', 'end', started.task)).toMatchObject({ ended: false });
    expect((await tasks('--all')).find(({ id }) => id === started.task)).toMatchObject({
      state: 'ended',
      endReason: 'revoked',
    });
    expect((await run(['task', 'ls', '--all', '--config', home.config])).stdout).toContain('ended (revoked)');
  });

  it('task start refuses what the template does not allow, and values that are no numbers', async () => {
    const asked = (...more: string[]) =>
      runToFail(['task', 'start', '--agent', 'my-agent', '--template', 'read-files', '--config', home.config, ...more]);
    expect(await asked('--classes', 'read,write')).toMatchObject({
      code: 'ERR_TASK_REFUSED',
      message: expect.stringContaining('write'),
    });
    expect(await asked('--calls', '1000000')).toMatchObject({ code: 'ERR_TASK_REFUSED' });
    expect(await asked('--calls', 'many')).toMatchObject({
      code: 'ERR_USAGE',
      message: '--calls takes a whole number, not many',
    });
    expect(await asked('--seconds', '-1')).toMatchObject({ code: 'ERR_USAGE' });
  });

  it('task end and lease revoke of what does not exist are not found', async () => {
    expect(await runToFail(['task', 'end', 'tsk_nothing', '--config', home.config])).toMatchObject({
      code: 'ERR_NOT_FOUND',
      where: 'tsk_nothing',
    });
    expect(await runToFail(['lease', 'revoke', 'lse_nothing', '--config', home.config])).toMatchObject({
      code: 'ERR_NOT_FOUND',
      where: 'lse_nothing',
    });
    expect(await runToFail(['lease', 'show', 'lse_nothing', '--config', home.config])).toMatchObject({
      code: 'ERR_NOT_FOUND',
      where: 'lse_nothing',
    });
    expect(await cli('lease', 'ls', '--all')).toEqual([]);
  });
});

describe('secrets, tools and doctor', () => {
  it('L6 takes a secret from standard input only, and never shows it', async () => {
    const secret = 'canary-5d41402abc';
    expect(await runJson(['secret', 'put', 'crm_token', '--config', home.config], { input: `${secret}\n` })).toEqual({
      name: 'crm_token',
      version: 1,
    });
    expect(await runJson(['secret', 'put', 'crm_token', '--config', home.config], { input: secret })).toEqual({
      name: 'crm_token',
      version: 2,
    });
    const refused = await runToFail(['secret', 'put', 'crm_token', secret, '--config', home.config]);
    expect(refused).toMatchObject({
      code: 'ERR_SECRET_ON_COMMAND_LINE',
      hint: expect.stringContaining('treat it as leaked'),
    });
    expect(JSON.stringify(refused)).not.toContain(secret);
    const listed = await run(['secret', 'ls', '--json', '--config', home.config]);
    expect(JSON.parse(listed.stdout)).toEqual([expect.objectContaining({ name: 'crm_token', version: 2 })]);
    for (const file of ['remit.db', 'remit.db-wal'])
      expect(await readFile(join(home.folder, '.remit', file), 'latin1')).not.toContain(secret);
    expect(await cli('secret', 'rm', 'crm_token')).toEqual({ name: 'crm_token', removed: true });
    expect(await runToFail(['secret', 'rm', 'crm_token', '--config', home.config])).toMatchObject({
      code: 'ERR_NOT_FOUND',
    });
  });

  it('refuses an empty secret, and names that no configuration could use or that are Remit’s own', async () => {
    const put = (name: string, input: string) => runToFail(['secret', 'put', name, '--config', home.config], { input });
    expect(await put('crm_token', '\n')).toMatchObject({ code: 'ERR_USAGE', message: 'standard input was empty' });
    for (const name of ['Bad Name', 'remit-journal-key', '../x'])
      expect(await put(name, 'x')).toMatchObject({ code: 'ERR_USAGE' });
    expect(await runToFail(['secret', 'rm', 'remit-journal-key', '--config', home.config])).toMatchObject({
      code: 'ERR_NOT_FOUND',
    });
    expect(await cli('audit', 'verify')).toMatchObject({ ok: true });
  });

  it('doctor finds nothing that fails, and says where the gateway serves', async () => {
    const checks = await cli<{ name: string; state: string; what: string }[]>('doctor');
    expect(checks.filter(({ state }) => state === 'fail')).toEqual([]);
    expect(checks.find(({ name }) => name === 'gateway')).toMatchObject({
      state: 'ok',
      what: expect.stringContaining(gateway.url),
    });
    expect(checks.find(({ name }) => name === 'journal')).toMatchObject({
      state: 'ok',
      what: expect.stringContaining('records verify'),
    });
  });

  it('an approved description keeps the comments, and holds from the next start', async () => {
    const before = await cli<{ name: string; status: string }[]>('tool', 'ls');
    expect(before.filter(({ status }) => status === 'described')).toHaveLength(2);
    const proposals = await cli<{ tool: string; class: string; fingerprint: string }[]>(
      'tool',
      'describe',
      '--all',
      'files',
    );
    expect(proposals).toHaveLength(before.length - 2);
    expect(proposals.find(({ tool }) => tool === 'write_file')).toMatchObject({ class: 'write' });
    expect(await runToFail(['tool', 'describe', '--all', 'files', '--approve', '--config', home.config])).toMatchObject(
      { code: 'ERR_USAGE' },
    );

    const comments = (text: string): string[] =>
      text
        .split('\n')
        .filter((line) => line.trim().startsWith('#'))
        .map((line) => line.trim());
    const text = await readFile(home.config, 'utf8');
    const approved = await cli<{ approved: string[]; by: string }>(
      'tool',
      'describe',
      '--all',
      'files',
      '--approve',
      '--by',
      'dana@shop.example',
    );
    expect(approved.approved).toHaveLength(proposals.length);
    const after = await readFile(home.config, 'utf8');
    expect(comments(after)).toEqual(comments(text));
    expect(after).toContain('write_file:');

    expect(await gateway.stop()).toBe(0);
    gateway = await startUp(home.config);
    expect(gateway.ready).toMatchObject({ tools: before.length, undescribed: 0, problems: [] });
    const described = await cli<{ name: string; status: string; approvedBy: string }[]>('tool', 'ls', 'files');
    expect(described.map(({ status }) => status)).toEqual(before.map(() => 'described'));
    expect(await runToFail(['tool', 'describe', '--all', 'files', '--config', home.config])).toMatchObject({
      code: 'ERR_NOT_FOUND',
      message: 'every tool of files is described',
    });
    expect(await runToFail(['tool', 'describe', 'mail/send', '--config', home.config])).toMatchObject({
      code: 'ERR_USAGE',
      hint: expect.stringContaining('Connectors: files'),
    });
  });

  it('a stop is recorded, and exits with 0', async () => {
    expect(await gateway.stop()).toBe(0);
    expect((await records()).at(-1)?.type).toBe('gateway_stopped');
    await noServerProcess();
    expect(await cli('audit', 'verify')).toMatchObject({ ok: true });
    const exported = await run(['audit', 'export', '--config', home.config]);
    expect(
      exported.stdout
        .trim()
        .split('\n')
        .map((line) => (JSON.parse(line) as AuditRecord).seq),
    ).toEqual((await records()).map(({ seq }) => seq));
  });
});
