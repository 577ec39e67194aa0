import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Containment } from '../../src/adapters/upstreams/contain-process.ts';
import { createContainment } from '../../src/adapters/upstreams/contain-process.ts';
import {
  createStdioOpener,
  type StdioOpener,
  type StdioOpenerOptions,
} from '../../src/adapters/upstreams/stdio-upstream.ts';
import { connectorId, taskId } from '../../src/domain/ids.ts';
import { Secret } from '../../src/domain/secret.ts';
import type { Upstream, UpstreamReply } from '../../src/seams/upstream.ts';
import { isAlive, processesWith } from '../support/fake-mcp-processes.ts';
import { CLIENT, FAKE_STDIO_COMMAND, plansHere, schedule } from '../support/fake-mcp-setup.ts';

async function resultOf<Result>(reply: Promise<UpstreamReply>): Promise<Result> {
  const settled = await reply;
  if (!('result' in settled)) throw new Error(JSON.stringify(settled));
  return settled.result as Result;
}

const CANARY = 'canary-e81c5d3f9a02';
const PATIENT = { timeout: 10_000, interval: 25 };

describe.each(await plansHere())('a stdio server contained by $mode', (plan) => {
  let folder: string;
  let containment: Containment;
  let random = 1;
  const markers: string[] = [];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'remit-test-'));
    containment = await createContainment({
      // Not random, but different: the tests of one file run one after another.
      random: (size) => Buffer.alloc(size, `${process.pid}-${plan.mode}-${random++}-`),
      schedule,
      environment: { ...process.env, OPERATOR_KEY: 'not for connectors', HTTPS_PROXY: 'http://u:p@proxy' },
      temporaryFolder: folder,
      plan,
    });
  });

  afterEach(async () => {
    await containment.close();
    for (const pid of markers.splice(0).flatMap((marker) => processesWith('cmdline', marker)))
      process.kill(pid, 'SIGKILL');
    expect(tagged()).toEqual([]);
    expect(isAlive(containment.watcher.pid ?? 0)).toBe(false);
    expect(await readdir(folder)).toEqual([]);
    await rm(folder, { recursive: true });
  });

  /** Marks a daemon, so that a test that fails leaves none behind. */
  function newMarker(): string {
    const marker = randomUUID();
    markers.push(marker);
    return marker;
  }

  const tagged = (): number[] => processesWith('environ', `REMIT_INSTANCE=${containment.instance}.`);

  function opener(environment: Record<string, string> = {}, more: Partial<StdioOpenerOptions> = {}): StdioOpener {
    return createStdioOpener({
      command: FAKE_STDIO_COMMAND,
      environment,
      containment,
      clientInfo: CLIENT,
      schedule,
      ...more,
    });
  }

  function open(from: StdioOpener = opener(), timeoutMs = 10_000): Promise<Upstream> {
    return from.open({
      connector: connectorId('fake'),
      task: taskId('tsk_a'),
      injection: { environment: { FAKE_SECRET: new Secret(CANARY) }, headers: {} },
      timeoutMs,
      prefer: 'legacy',
      clientCapabilities: {},
    });
  }

  const call = (upstream: Upstream, method: string, params: object = {}, timeoutMs = 10_000): Promise<UpstreamReply> =>
    upstream.request({ method, params: JSON.stringify(params).slice(1, -1), meta: '', timeoutMs });

  it('I3 leaves no process after 20 failed starts', { timeout: 60_000 }, async () => {
    const marker = newMarker();
    for (let round = 0; round < 5; round += 1) {
      // New openers each round: the breaker of one that failed so often would start nothing any more.
      const silent = opener({ FAKE_VERSION: 'silent', FAKE_START: 'stubborn' });
      const daemon = opener({ FAKE_VERSION: 'silent', FAKE_DAEMON: marker });
      const starts = [open(silent, 20), open(silent, 400), open(daemon, 600), open(opener({ FAKE_START: 'crash' }))];
      for (const outcome of await Promise.allSettled(starts)) expect(outcome.status).toBe('rejected');
      expect(tagged()).toEqual([]);
      expect(processesWith('cmdline', marker)).toEqual([]);
    }
  });

  it('I3 ends a daemonised grandchild with its connection', async () => {
    const upstream = await open();
    const marker = newMarker();
    await call(upstream, 'daemonise', { marker, wiped: plan.mode === 'pid_namespace' });
    expect(processesWith('cmdline', marker)).toHaveLength(1);
    await upstream.close();
    expect(processesWith('cmdline', marker)).toEqual([]);
  });

  it('I3 ends a daemonised grandchild when its server crashes', async () => {
    const upstream = await open();
    const marker = newMarker();
    await call(upstream, 'daemonise', { marker });
    expect(processesWith('cmdline', marker)).toHaveLength(1);
    await call(upstream, 'die', { code: 1 }).catch(() => {});
    await upstream.closed;
    expect(processesWith('cmdline', marker)).toEqual([]);
  });

  it('I3 leaves the processes of other connections alone', async () => {
    const [first, second] = await Promise.all([open(), open()]);
    await first.close();
    expect(await call(second, 'echo', { still: 'here' })).toMatchObject({ result: { echo: { still: 'here' } } });
  });

  it('fault 24: ends a server that ignores the end of input and SIGTERM', async () => {
    const upstream = await open(opener({ FAKE_START: 'stubborn' }));
    const pid = upstream.pid as number;
    expect(isAlive(pid)).toBe(true);
    await upstream.close();
    expect(isAlive(pid)).toBe(false);
  });

  it('ends what is starting when the opener closes', async () => {
    const silent = opener({ FAKE_VERSION: 'silent' });
    const start = open(silent).catch((error: unknown) => error);
    await expect.poll(() => tagged().length, PATIENT).toBeGreaterThan(0);
    await silent.close();
    expect(await start).toMatchObject({ code: 'ERR_CONNECTOR_UNREACHABLE' });
    await expect(open(silent)).rejects.toMatchObject({ code: 'ERR_CONNECTOR_UNREACHABLE' });
  });

  it('starts nothing once the containment is closed', async () => {
    await containment.close();
    await expect(open()).rejects.toMatchObject({ code: 'ERR_CONNECTOR_UNREACHABLE' });
  });

  it('reports a crash in the middle of a call, and of no other process', async () => {
    const upstream = await open();
    const hanging = call(upstream, 'hang').catch((error: unknown) => error);
    await expect(call(upstream, 'die', { code: 7 })).rejects.toMatchObject({
      code: 'ERR_CONNECTOR_UNREACHABLE',
      message: expect.stringContaining('exit code 7'),
    });
    expect(await hanging).toMatchObject({ code: 'ERR_CONNECTOR_UNREACHABLE' });
    await upstream.closed;
    await expect(call(upstream, 'echo')).rejects.toMatchObject({ code: 'ERR_CONNECTOR_UNREACHABLE' });
    expect(tagged()).toEqual([]);
  });

  it('reads a reply that was written just before the end', async () => {
    const upstream = await open();
    const reply = call(upstream, 'raw', { text: '{"jsonrpc":"2.0","id":$ID,"result":{"last":true}}' });
    const death = call(upstream, 'die', { code: 0 }).catch(() => {});
    expect(await reply).toMatchObject({ result: { last: true } });
    await death;
  });

  it('fault 24: drops half a line at the end of the process', async () => {
    const upstream = await open();
    await expect(call(upstream, 'drip', { text: '{"jsonrpc":"2.0","id":1,"res', thenEnd: true })).rejects.toMatchObject(
      {
        code: 'ERR_CONNECTOR_UNREACHABLE',
      },
    );
  });

  it('fault 24: ends a server that writes a line without end', async () => {
    const upstream = await open(opener({}, { maxLineBytes: 100_000 }));
    await expect(call(upstream, 'drip', { text: 'z'.repeat(50_000) }, 200)).rejects.toMatchObject({
      code: 'ERR_CONNECTOR_TIMEOUT',
    });
    await expect(call(upstream, 'drip', { text: 'z'.repeat(60_000) })).rejects.toMatchObject({
      code: 'ERR_CONNECTOR_PROTOCOL',
    });
    await upstream.closed;
    expect(tagged()).toEqual([]);
  });

  it('tolerates a banner, but no stream of other text', async () => {
    const upstream = await open(opener({ FAKE_START: 'banner' }));
    expect(await call(upstream, 'flood', { to: 'stdout', lines: 90, size: 10 })).toMatchObject({
      result: { flooded: true },
    });
    await expect(call(upstream, 'flood', { to: 'stdout', lines: 90, size: 10 })).rejects.toMatchObject({
      code: 'ERR_CONNECTOR_PROTOCOL',
    });
    await upstream.closed;
  });

  it('fault 24: drains standard error', async () => {
    const upstream = await open();
    expect(await call(upstream, 'flood', { to: 'stderr', lines: 5_000, size: 1_000 })).toMatchObject({
      result: { flooded: true },
    });
  });

  it('ends a server that closes its output, or asks and does not listen', async () => {
    const [mute, deaf] = await Promise.all([open(), open()]);
    await expect(call(mute, 'mute')).rejects.toMatchObject({ code: 'ERR_CONNECTOR_UNREACHABLE' });
    await expect(call(deaf, 'deaf', { questions: 5_000 })).rejects.toMatchObject({ code: 'ERR_CONNECTOR_PROTOCOL' });
    await Promise.all([mute.closed, deaf.closed]);
  });

  it('I2 never writes a call that was given up while the server did not read', async () => {
    const upstream = await open();
    void call(upstream, 'deaf', { questions: 0, resumeAfter: 1_500 }).catch(() => {});
    const text = 'b'.repeat(50_000);
    const calls = Array.from({ length: 40 }, (_, n) =>
      call(upstream, 'bulk', { n, text }, 300).catch((error: unknown) => error),
    );
    for (const error of await Promise.all(calls)) expect(error).toMatchObject({ code: 'ERR_CONNECTOR_TIMEOUT' });
    const { messages } = await resultOf<{ messages: { method: string; params: { n: number } }[] }>(
      call(upstream, 'received'),
    );
    const arrived = messages.filter((message) => message.method === 'bulk').map((message) => message.params.n);
    expect(arrived.length).toBeLessThan(20);
    expect(arrived).toEqual(arrived.map((_, index) => index));
  });

  it('L6 gives the child what it needs to know and nothing of the gateway', async () => {
    const reply = call(await open(opener({ FAKE_PLAIN: 'plain' }, { workingDirectory: folder })), 'environment');
    const { environment, folder: cwd } = await resultOf<{ environment: Record<string, string>; folder: string }>(reply);
    const inherited = [
      'PATH',
      'LANG',
      'LC_ALL',
      'LC_CTYPE',
      'TZ',
      'NODE_EXTRA_CA_CERTS',
      'SSL_CERT_FILE',
      'SSL_CERT_DIR',
    ];
    const expected = { FAKE_PLAIN: 'plain', FAKE_SECRET: CANARY, PATH: process.env.PATH };
    expect(environment).toMatchObject(expected);
    const own = Object.keys(environment).filter((name) => !inherited.includes(name));
    expect(own.sort()).toEqual(['FAKE_PLAIN', 'FAKE_SECRET', 'HOME', 'REMIT_INSTANCE', 'TMPDIR']);
    expect(environment.HOME).toMatch(new RegExp(`^${folder}/remit-`));
    expect((await stat(environment.HOME as string)).mode & 0o777).toBe(0o700);
    expect(cwd).toBe(folder);
  });

  it('L6 keeps the secret out of every command line', async () => {
    await open();
    expect(tagged().length).toBeGreaterThan(0);
    for (const pid of tagged()) expect(readFileSync(`/proc/${pid}/cmdline`, 'latin1')).not.toContain(CANARY);
    const careless = opener({}, { command: [...FAKE_STDIO_COMMAND, `--password=${CANARY}`] });
    const error = await open(careless).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'ERR_SECRET_ON_COMMAND_LINE' });
    expect(String((error as Error).stack)).not.toContain(CANARY);
  });

  it('L6 shows the last words of a failed start without the secret', async () => {
    const error = (await open(opener({ FAKE_START: 'crash' })).catch((thrown: unknown) => thrown)) as Error;
    expect(error).toMatchObject({ code: 'ERR_CONNECTOR_UNREACHABLE' });
    expect(error.cause).toBeUndefined();
    expect(error.message).toContain('exit code 3');
    expect(error.message).toContain('cannot log in with [secret], giving up');
    expect(error.message.length).toBeLessThan(5_000);
    expect(error.stack).not.toContain(CANARY);
  });

  it.each([
    ['a program that is not there', { command: ['/nonexistent/program'] }],
    ['a working directory that is not there', { workingDirectory: '/nonexistent' }],
    ['a variable that cannot be passed', { environment: { PLAIN: `nul\0${CANARY}` } }],
  ])('reports %s', async (_what, more) => {
    const error = (await open(opener({}, more)).catch((thrown: unknown) => thrown)) as Error;
    expect(error).toMatchObject({ code: 'ERR_CONNECTOR_UNREACHABLE' });
    expect(error.message + error.stack).not.toContain(CANARY);
  });

  it('refuses to start what it could not contain', async () => {
    Object.defineProperty(containment.watcher, 'isAlive', { get: () => false });
    await expect(open()).rejects.toMatchObject({
      code: 'ERR_CONNECTOR_UNREACHABLE',
      message: expect.stringContaining('contained'),
    });
  });
});
