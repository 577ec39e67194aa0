import { createHash } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Containment } from '../../src/adapters/upstreams/contain-process.ts';
import { packageOfFile } from '../../src/adapters/upstreams/package-version.ts';
import {
  createStdioOpener,
  type StartedProcess,
  type StdioOpener,
  type StdioOpenerOptions,
} from '../../src/adapters/upstreams/stdio-upstream.ts';
import { Cancellation } from '../../src/domain/cancellation.ts';
import { connectorId, taskId } from '../../src/domain/ids.ts';
import { NO_CREDENTIAL, type OpenUpstream, type Upstream } from '../../src/seams/upstream.ts';
import { processesWith } from '../support/fake-mcp-processes.ts';
import { CLIENT, contain, FAKE_STDIO_COMMAND, plansHere, schedule } from '../support/fake-mcp-setup.ts';

const REQUEST: OpenUpstream = {
  connector: connectorId('fake'),
  task: taskId('tsk_a'),
  injection: NO_CREDENTIAL,
  timeoutMs: 15_000,
  prefer: 'legacy',
  clientCapabilities: {},
};

const call = (upstream: Upstream, method: string, params = '') =>
  upstream.request({ method, params, meta: '', timeoutMs: 10_000 });

describe.each(await plansHere())('contained by $mode', (plan) => {
  let containment: Containment;
  let folder: string;
  beforeEach(async () => {
    containment = await contain(plan);
    folder = await realpath(await mkdtemp(join(tmpdir(), 'remit-test-')));
  });
  afterEach(async () => {
    await containment.close();
    await rm(folder, { recursive: true, force: true });
  });

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

  function countStarts(): { counted: Containment; started: () => number } {
    let started = 0;
    const counted: Containment = {
      ...containment,
      start(one) {
        started += 1;
        return containment.start(one);
      },
    };
    return { counted, started: () => started };
  }

  it('fault 22: zero orphans after 200 starts that were called off or failed, anywhere on the way', {
    timeout: 120_000,
  }, async () => {
    const { counted, started } = countStarts();
    const clientInfo = {
      get name(): never {
        throw new Error('on purpose');
      },
      version: '0',
    };
    const marker = `fault-22-${containment.instance}`;
    // An opener each: the breaker of one that has failed so often would start nothing any more.
    const kinds: Parameters<typeof opener>[] = [
      [{}],
      [{ FAKE_VERSION: 'silent' }],
      [{ FAKE_VERSION: 'silent', FAKE_START: 'stubborn' }],
      [{ FAKE_VERSION: 'silent', FAKE_DAEMON: marker }],
      // Fails in our own set-up, once the process has been started.
      [{}, { clientInfo }],
    ];
    const openNext = (number: number, cancellation: Cancellation): Promise<Upstream> => {
      const [environment, more] = kinds[number % kinds.length] as Parameters<typeof opener>;
      return opener(environment, { ...more, containment: counted }).open({ ...REQUEST, cancellation });
    };
    const outcomes = { opened: 0, rejected: 0 };
    let number = 0;
    const worker = async (): Promise<void> => {
      while (number < 200) {
        number += 1;
        const cancellation = new Cancellation();
        // From before the start, through start and handshake, until well after it.
        const delay = (number * 37) % 250;
        const cancel = number % 8 === 0 ? () => {} : schedule(delay, () => cancellation.cancel('over'));
        if (number % 8 === 0) cancellation.cancel('over');
        await openNext(number, cancellation).then(
          async (upstream) => {
            outcomes.opened += 1;
            await upstream.close();
          },
          () => {
            outcomes.rejected += 1;
          },
        );
        cancel();
      }
    };
    await Promise.all(Array.from({ length: 8 }, worker));
    expect(outcomes.opened + outcomes.rejected).toBe(200);
    expect(started()).toBeGreaterThan(150);
    expect(outcomes.rejected).toBeGreaterThan(100);
    expect(tagged()).toEqual([]);
    expect(processesWith('cmdline', marker)).toEqual([]);
  });

  it('fault 22: a set-up that throws after the start leaves no process', async () => {
    const broken = opener(
      {},
      {
        schedule: (ms, task) => {
          if (ms === REQUEST.timeoutMs) throw new Error('on purpose');
          return schedule(ms, task);
        },
      },
    );
    await expect(broken.open(REQUEST)).rejects.toThrow('on purpose');
    expect(tagged()).toEqual([]);
  });

  it('fault 25: a server that crashes at each start is left alone for a while, then tried once at a time', async () => {
    let now = 0;
    const { counted, started } = countStarts();
    const crashing = opener({ FAKE_START: 'crash' }, { now: () => now, chance: () => 1, containment: counted });
    for (let round = 0; round < 3; round += 1)
      await expect(crashing.open(REQUEST)).rejects.toMatchObject({ message: expect.stringContaining('exit code 3') });
    expect(started()).toBe(3);
    await expect(crashing.open(REQUEST)).rejects.toMatchObject({
      code: 'ERR_CONNECTOR_UNREACHABLE',
      where: 'connectors.fake',
      message: expect.stringContaining('not before 1 s'),
    });
    expect(started(), 'nothing is started').toBe(3);
    now = 1_000;
    const both = await Promise.allSettled([crashing.open(REQUEST), crashing.open(REQUEST)]);
    const messages = both.map((one) => String((one as PromiseRejectedResult).reason));
    expect(messages).toEqual([expect.stringContaining('exit code 3'), expect.stringContaining('by another call')]);
    await expect(crashing.open(REQUEST)).rejects.toMatchObject({ message: expect.stringContaining('not before 2 s') });
  });

  it('fault 25: a server that opens and dies before it serves counts, one that has served or was closed does not', async () => {
    const fragile = opener();
    const die = async (isServed: boolean): Promise<void> => {
      const upstream = await fragile.open(REQUEST);
      if (isServed) await call(upstream, 'echo');
      await call(upstream, 'die', '"code":1').catch(() => {});
      await upstream.closed;
    };
    for (let round = 0; round < 5; round += 1) await die(true);
    for (let round = 0; round < 5; round += 1) await (await fragile.open(REQUEST)).close();
    await call(await fragile.open(REQUEST), 'echo');
    for (let round = 0; round < 3; round += 1) await die(false);
    await expect(fragile.open(REQUEST)).rejects.toMatchObject({ message: expect.stringContaining('3 times in a row') });
  });

  it('A31: a command that holds code is refused before anything starts, unless it is allowed', async () => {
    const command = [process.execPath, '-e', `import(${JSON.stringify(FAKE_STDIO_COMMAND[1])})`];
    expect(() => opener({}, { command })).toThrow(expect.objectContaining({ code: 'ERR_CONFIG_INVALID' }));
    const upstream = await opener({}, { command, allowInlineCode: true }).open(REQUEST);
    expect(await call(upstream, 'echo')).toMatchObject({ result: { echo: {} } });
  });

  async function startedBy(more: Partial<StdioOpenerOptions>): Promise<StartedProcess> {
    return await new Promise((resolve, reject) => {
      opener({}, { onStarted: resolve, ...more })
        .open(REQUEST)
        .catch(reject);
    });
  }

  /** A package with a server, installed as npm does it. */
  async function install(name: string, version: string): Promise<{ bin: string; path: string; digest: string }> {
    const path = join(folder, 'node_modules', name);
    await mkdir(join(path, 'dist'), { recursive: true });
    await mkdir(join(folder, 'node_modules/.bin'), { recursive: true });
    const manifest = JSON.stringify({ name, version, bin: 'dist/server.js' });
    const program = `#!${process.execPath}\nimport(${JSON.stringify(FAKE_STDIO_COMMAND[1])});\n`;
    await writeFile(join(path, 'package.json'), manifest);
    await writeFile(join(path, 'dist/package.json'), '{"type":"commonjs"}');
    await writeFile(join(path, 'dist/server.js'), program);
    await chmod(join(path, 'dist/server.js'), 0o755);
    const bin = join(folder, 'node_modules/.bin/server');
    await symlink(`../${name}/dist/server.js`, bin);
    return { bin, path, digest: createHash('sha256').update(manifest).update(program).digest('hex') };
  }

  it('tells which version of which package runs, by its link in `.bin` and by its path', async () => {
    const { bin, path, digest } = await install('@acme/server', '1.2.3-rc.1');
    const expected = { name: '@acme/server', version: '1.2.3-rc.1', path, digest };
    expect(await startedBy({ command: [bin] })).toEqual({
      task: expect.any(String),
      pid: expect.any(Number),
      package: expected,
    });
    const byPath = [process.execPath, '--no-warnings', 'node_modules/@acme/server/dist/server.js'];
    expect((await startedBy({ command: byPath, workingDirectory: folder })).package).toEqual(expected);
    expect((await startedBy({ command: ['env', 'A=1', bin] })).package).toEqual(expected);
  });

  it('tells it of what a shell script or a package runner has started further down', async () => {
    const { bin, path } = await install('behind', '7.0.0');
    const script = join(folder, 'start.sh');
    await writeFile(script, `node ${bin} &\nwait\n`);
    // A background job of a shell has no standard input, unless it is given one.
    await writeFile(script, `exec 3<&0\nnode ${bin} <&3 &\nwait\n`);
    expect((await startedBy({ command: ['sh', script] })).package).toMatchObject({ name: 'behind', path });
    await writeFile(join(folder, 'package.json'), '{"name":"project","version":"0.0.1"}');
    const npx = ['npx', '--no-install', 'server'];
    expect((await startedBy({ command: npx, workingDirectory: folder })).package).toMatchObject({
      name: 'behind',
      version: '7.0.0',
    });
  });

  it('tells nothing of a program that is no package', async () => {
    const file = join(folder, 'server.mjs');
    await writeFile(file, `import ${JSON.stringify(FAKE_STDIO_COMMAND[1])};`);
    expect((await startedBy({ command: [process.execPath, file] })).package).toBeUndefined();
  });
});

describe('packageOfFile', () => {
  it('does not leave `node_modules`, and finds the package of a real server', async () => {
    const bin = fileURLToPath(new URL('../../node_modules/.bin/mcp-server-filesystem', import.meta.url));
    const file = await realpath(bin);
    const { name, version } = JSON.parse(
      await readFile(
        new URL('../../node_modules/@modelcontextprotocol/server-filesystem/package.json', import.meta.url),
        'utf8',
      ),
    ) as { name: string; version: string };
    expect(await packageOfFile(file)).toMatchObject({ name, version });
    expect(await packageOfFile(join(file, '../../../../stray.js'))).toBeUndefined();
  });
});
