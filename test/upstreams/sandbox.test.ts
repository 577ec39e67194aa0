import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, realpath, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Containment, createContainment } from '../../src/adapters/upstreams/contain-process.ts';
import { WATCHER_PLAN } from '../../src/adapters/upstreams/probe-containment.ts';
import { probeSandbox } from '../../src/adapters/upstreams/probe-sandbox.ts';
import { checkSandbox, type Sandbox } from '../../src/adapters/upstreams/sandbox-command.ts';
import { createStdioOpener, type StartedProcess } from '../../src/adapters/upstreams/stdio-upstream.ts';
import { connectorId, taskId } from '../../src/domain/ids.ts';
import { Secret } from '../../src/domain/secret.ts';
import type { Upstream } from '../../src/seams/upstream.ts';
import { isAlive, processesWith } from '../support/fake-mcp-processes.ts';
import { CLIENT, FAKE_STDIO_COMMAND, plansHere, schedule } from '../support/fake-mcp-setup.ts';

const SERVERS = dirname(FAKE_STDIO_COMMAND[1] as string);
const TIGHT: Sandbox = { network: 'none', readOnly: [SERVERS], readWrite: [] };

function open(containment: Containment, sandbox: Sandbox, more: Partial<Parameters<typeof createStdioOpener>[0]> = {}) {
  return createStdioOpener({
    command: FAKE_STDIO_COMMAND,
    containment,
    clientInfo: CLIENT,
    schedule,
    sandbox,
    ...more,
  }).open({
    connector: connectorId('fake'),
    task: taskId('tsk_a'),
    injection: { environment: { FAKE_SECRET: new Secret('canary-70d1e9') }, headers: {} },
    timeoutMs: 15_000,
    prefer: 'legacy',
    clientCapabilities: {},
  });
}

async function ask(upstream: Upstream, method: string, params: object): Promise<unknown> {
  const members = JSON.stringify(params).slice(1, -1);
  const reply = await upstream.request({ method, params: members, meta: '', timeoutMs: 10_000 });
  return 'result' in reply ? reply.result : reply;
}

const plans = await plansHere();
const support = await probeSandbox(process.env.PATH ?? '', plans[0] ?? WATCHER_PLAN);
const why = support.isUsable ? '' : ` (skipped: ${support.reason})`;

describe.skipIf(!support.isUsable).each(plans)(`a server in a sandbox, contained by $mode${why}`, (plan) => {
  let containment: Containment;
  let folder: string;
  beforeEach(async () => {
    folder = await realpath(await mkdtemp(join(tmpdir(), 'remit-test-')));
    containment = await createContainment({
      random: randomBytes,
      schedule,
      environment: process.env,
      temporaryFolder: folder,
      plan,
    });
  });
  afterEach(async () => {
    await containment.close();
    expect(processesWith('environ', `REMIT_INSTANCE=${containment.instance}.`)).toEqual([]);
    await rm(folder, { recursive: true, force: true });
  });

  it('sees its program and what it was given, and nothing else', async () => {
    await mkdir(join(folder, 'given'));
    await writeFile(join(folder, 'given/a'), '');
    await writeFile(join(folder, 'other'), '');
    const upstream = await open(containment, { ...TIGHT, readOnly: [SERVERS, join(folder, 'given')] });
    expect(await ask(upstream, 'look', { path: join(folder, 'given') })).toEqual({ found: ['a'] });
    expect(await ask(upstream, 'look', { path: folder })).toEqual({ found: ['given'] });
    // Where the program itself lies under one of these, its way down is there, and nothing beside it.
    for (const path of ['/root', '/home', '/var']) {
      const isOnTheWay = SERVERS.startsWith(`${path}/`);
      const expected = isOnTheWay ? { found: [SERVERS.split('/')[2]] } : { code: 'ENOENT' };
      expect(await ask(upstream, 'look', { path })).toEqual(expected);
    }
    const { found } = (await ask(upstream, 'look', { path: '/etc' })) as { found: string[] };
    expect(found).not.toContain('shadow');
    expect(found).toContain('passwd');
  });

  it('writes where it may, and nowhere else', async () => {
    await mkdir(join(folder, 'out'));
    const upstream = await open(containment, {
      ...TIGHT,
      readOnly: [SERVERS, folder],
      readWrite: [join(folder, 'out')],
    });
    expect(await ask(upstream, 'touch', { path: join(folder, 'out/new') })).toEqual({ wrote: true });
    expect(await readdir(join(folder, 'out'))).toEqual(['new']);
    for (const path of [join(folder, 'new'), join(SERVERS, 'new'), '/usr/new', '/etc/new'])
      expect(await ask(upstream, 'touch', { path })).toEqual({ code: 'EROFS' });
  });

  it('has a /tmp and a home of its own, which go with it', async () => {
    const [one, two] = await Promise.all([open(containment, TIGHT), open(containment, TIGHT)]);
    expect(await ask(one, 'touch', { path: '/tmp/mine' })).toEqual({ wrote: true });
    const { found } = (await ask(two, 'look', { path: '/tmp' })) as { found: string[] };
    expect(found).not.toContain('mine');
    expect(await ask(one, 'environment', {})).toMatchObject({
      environment: { HOME: '/tmp', TMPDIR: '/tmp', FAKE_SECRET: 'canary-70d1e9' },
    });
    await one.close();
    expect((await readdir(folder, { recursive: true })).filter((name) => name.endsWith('/mine'))).toEqual([]);
  });

  it('reaches the network only where it may', async () => {
    const server = createServer((socket) => socket.end());
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    const { port } = server.address() as { port: number };
    try {
      const none = await open(containment, TIGHT);
      expect(await ask(none, 'reach', { port })).toEqual({ code: 'ECONNREFUSED' });
      const host = await open(containment, { ...TIGHT, network: 'host' });
      expect(await ask(host, 'reach', { port })).toEqual({ reached: true });
    } finally {
      await new Promise((closed) => server.close(closed));
    }
  });

  it('reaches what is on its list by the proxy, and nothing else by any way', async () => {
    const server = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket));
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    const { port } = server.address() as { port: number };
    try {
      const network = { allow: [`127.0.0.1:${port}`], allowPrivateNetwork: false };
      const upstream = await open(containment, { ...TIGHT, network });
      expect(await ask(upstream, 'proxied', { path: `127.0.0.1:${port}` })).toEqual({ status: 200, text: 'hello' });
      expect(await ask(upstream, 'proxied', { path: `127.0.0.1:${port + 1}` })).toEqual({ status: 403 });
      const plain = await ask(upstream, 'proxied', { path: 'http://other.example/', method: 'GET' });
      expect(plain).toMatchObject({
        status: 403,
        text: expect.stringContaining('other.example:80 is not on the list'),
      });
      expect(await ask(upstream, 'reach', { port })).toEqual({ code: 'ECONNREFUSED' });
    } finally {
      await new Promise((closed) => server.close(closed));
    }
  });

  it('I3 leaves no relay and no socket, however it ends', async () => {
    const network = { allow: ['api.example.com'], allowPrivateNetwork: false };
    const [one, other] = [
      await open(containment, { ...TIGHT, network }),
      await open(containment, { ...TIGHT, network }),
    ];
    await one.close();
    const dying = ask(other, 'die', { code: 3 }).catch(() => 'gone');
    expect(await dying).toBe('gone');
    await other.closed;
    await containment.close();
    expect(processesWith('environ', `REMIT_INSTANCE=${containment.instance}.`)).toEqual([]);
    expect((await readdir(folder)).filter((name) => name.startsWith('remit-'))).toEqual([]);
  });

  it('does not see what is hidden within what it sees: the gateway’s own data', async () => {
    await mkdir(join(folder, '.remit'));
    await writeFile(join(folder, '.remit/vault'), 'x');
    await writeFile(join(folder, 'key'), 'x');
    const hidden = [join(folder, '.remit'), join(folder, 'key'), '/nonexistent/x'];
    const upstream = await open(containment, { ...TIGHT, hidden }, { workingDirectory: folder });
    expect(await ask(upstream, 'look', { path: join(folder, '.remit') })).toEqual({ found: [] });
    expect(await ask(upstream, 'touch', { path: join(folder, '.remit/x') })).toEqual({ code: 'EROFS' });
    expect(await ask(upstream, 'environment', {})).toMatchObject({ folder });
    const everything = await open(containment, { ...TIGHT, readOnly: ['/'], hidden });
    expect(await ask(everything, 'look', { path: join(folder, '.remit') })).toEqual({ found: [] });
    expect(await ask(everything, 'touch', { path: '/usr/x' })).toEqual({ code: 'EROFS' });
    // The test's folder lies in /tmp, which is another one inside.
    await ask(everything, 'touch', { path: join(folder, 'x') });
    expect(await readdir(folder)).not.toContain('x');
  });

  it('has no capabilities and cannot get new ones, and is alone', async () => {
    const upstream = await open(containment, TIGHT);
    const { found } = (await ask(upstream, 'look', { path: '/proc' })) as { found: string[] };
    expect(found.filter((name) => /^\d+$/.test(name)).length).toBeLessThanOrEqual(2);
    const { text } = (await ask(upstream, 'read', { path: '/proc/self/status' })) as { text: string };
    expect(text).toMatch(/^NoNewPrivs:\t1$/m);
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'])
      expect(text).toMatch(new RegExp(`^${set}:\\t0+$`, 'm'));
  });

  it('I3 ends with its connection, with a daemonised grandchild, however stubborn', async () => {
    const marker = `sandbox-${containment.instance}`;
    const upstream = await open(containment, TIGHT, { environment: { FAKE_START: 'stubborn', FAKE_DAEMON: marker } });
    expect(processesWith('cmdline', marker).length).toBeGreaterThan(0);
    const pid = upstream.pid as number;
    await upstream.close();
    expect(isAlive(pid)).toBe(false);
    expect(processesWith('cmdline', marker)).toEqual([]);
  });

  it('L6 keeps the secret out of its command line, and is told by its package all the same', async () => {
    const started = await new Promise<StartedProcess>((resolve, reject) => {
      open(containment, TIGHT, { onStarted: resolve }).catch(reject);
    });
    expect(started.package?.name).toBe('remit');
    for (const pid of processesWith('environ', `REMIT_INSTANCE=${containment.instance}.`))
      expect(processesWith('cmdline', 'canary-70d1e9')).not.toContain(pid);
  });

  it('says what is wrong where a path that it was given is not there', async () => {
    await expect(open(containment, { ...TIGHT, readOnly: [SERVERS, '/nonexistent'] })).rejects.toMatchObject({
      code: 'ERR_CONNECTOR_UNREACHABLE',
      message: expect.stringContaining('/nonexistent'),
    });
  });
});

describe('a sandbox that cannot be made', () => {
  let folder: string;
  let containment: Containment;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'remit-test-'));
  });
  afterEach(async () => {
    await containment.close();
    await rm(folder, { recursive: true, force: true });
  });

  const containWith = async (path: string): Promise<void> => {
    containment = await createContainment({
      random: (size) => Buffer.alloc(size, 7),
      schedule,
      environment: { PATH: path },
      temporaryFolder: folder,
      plan: WATCHER_PLAN,
    });
  };

  it('keeps its server from starting at all: no bwrap', async () => {
    await containWith(folder);
    await expect(open(containment, TIGHT)).rejects.toMatchObject({
      code: 'ERR_CONNECTOR_UNREACHABLE',
      message: expect.stringContaining('bwrap is not installed'),
      hint: expect.stringContaining('Install bubblewrap'),
    });
    expect(processesWith('environ', `REMIT_INSTANCE=${containment.instance}.`)).toEqual([]);
  });

  it('keeps its server from starting at all: a bwrap that fails', async () => {
    const script =
      '#!/bin/sh\n[ "$1" = --version ] && echo bubblewrap 9.9 && exit 0\necho no namespaces for you >&2; exit 1\n';
    await writeFile(join(folder, 'bwrap'), script, { mode: 0o755 });
    await containWith(folder);
    await expect(open(containment, TIGHT)).rejects.toMatchObject({
      message: expect.stringContaining('no namespaces for you'),
    });
  });

  it.each<[string, Sandbox]>([
    ['a relative path', { network: 'none', readOnly: ['srv'], readWrite: [] }],
    ['everything to write', { network: 'none', readOnly: [], readWrite: ['/'] }],
    ['everything to write, in other words', { network: 'none', readOnly: [], readWrite: ['/srv/..'] }],
  ])('is refused at its construction with %s', async (_what, sandbox) => {
    await containWith(folder);
    expect(() => checkSandbox(sandbox)).toThrow(expect.objectContaining({ code: 'ERR_CONFIG_INVALID' }));
    expect(() => open(containment, sandbox)).toThrow(expect.objectContaining({ code: 'ERR_CONFIG_INVALID' }));
  });
});
