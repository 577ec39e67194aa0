import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { probeContainment } from '../../src/adapters/upstreams/probe-containment.ts';
import { childrenWith, isAlive, processesWith } from '../support/fake-mcp-processes.ts';
import { plansHere } from '../support/fake-mcp-setup.ts';

const GATEWAY = fileURLToPath(new URL('../support/fake-mcp-gateway.ts', import.meta.url));
const PATIENT = { timeout: 10_000, interval: 25 };

interface Gateway {
  readonly process: ChildProcess;
  readonly instance: string;
  readonly mode: string;
  readonly watcher: number;
  readonly marker: string;
  /** Resolves when its connectors are open. */
  readonly isOpen: Promise<unknown>;
}

describe.each((await plansHere()).map((plan) => plan.mode))('contained by %s', (mode) => {
  let folder: string;
  const started: Gateway[] = [];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'remit-test-'));
  });

  afterEach(async () => {
    for (const gateway of started.splice(0)) {
      gateway.process.kill('SIGKILL');
      for (const pid of [...childrenOf(gateway), ...processesWith('cmdline', gateway.marker)]) killOne(pid);
    }
    await rm(folder, { recursive: true, force: true });
  });

  const childrenOf = (gateway: Gateway): number[] => processesWith('environ', `REMIT_INSTANCE=${gateway.instance}.`);

  function killOne(pid: number, signal: NodeJS.Signals = 'SIGKILL'): void {
    try {
      process.kill(pid, signal);
    } catch {
      // gone already
    }
  }

  async function startGateway(environment: Record<string, string> = {}): Promise<Gateway> {
    const marker = randomUUID();
    const env = { ...process.env, TMPDIR: folder, FAKE_MODE: mode, FAKE_MARKER: marker, ...environment };
    const child = spawn(process.execPath, ['--import', 'tsx', GATEWAY], { env, stdio: ['ignore', 'pipe', 'inherit'] });
    const lines = createInterface({ input: child.stdout });
    const said = lines[Symbol.asyncIterator]();
    const first = JSON.parse((await said.next()).value as string) as {
      instance: string;
      mode: string;
      watcher: number;
    };
    const gateway = { process: child, marker, ...first, isOpen: said.next() };
    started.push(gateway);
    expect(gateway.mode).toBe(mode);
    return gateway;
  }

  async function expectNothingLeft(gateway: Gateway, watcher = gateway.watcher): Promise<void> {
    await expect.poll(() => processesWith('cmdline', gateway.marker), PATIENT).toEqual([]);
    await expect.poll(() => childrenOf(gateway), PATIENT).toEqual([]);
    await expect.poll(() => isAlive(watcher), PATIENT).toBe(false);
    await expect
      .poll(() => readdir(folder).then((names) => names.filter((name) => name.startsWith('remit-'))), PATIENT)
      .toEqual([]);
  }

  it('I3, fault 23: leaves no child and no daemonised grandchild after kill −9 of the gateway', async () => {
    const gateway = await startGateway({ FAKE_COUNT: '2' });
    await gateway.isOpen;
    expect(processesWith('cmdline', gateway.marker)).toHaveLength(2);
    expect(childrenOf(gateway).length).toBeGreaterThanOrEqual(4);
    gateway.process.kill('SIGKILL');
    await expectNothingLeft(gateway);
  });

  it.each(['exit', 'throw'])('I3 leaves none after a gateway that ends by %s without cleaning up', async (how) => {
    const gateway = await startGateway({ FAKE_END: how });
    await gateway.isOpen;
    await expectNothingLeft(gateway);
  });

  it('I3 leaves none after kill −9 at any moment of a start', { timeout: 60_000 }, async () => {
    for (const delay of [0, 10, 40, 120]) {
      const gateway = await startGateway({ FAKE_COUNT: '4' });
      await new Promise((resolve) => setTimeout(resolve, delay));
      gateway.process.kill('SIGKILL');
      await expectNothingLeft(gateway);
    }
  });

  it('I3 starts a watcher that was killed again, which then knows the children of before', async () => {
    const gateway = await startGateway();
    await gateway.isOpen;
    killOne(gateway.watcher);
    const watchers = (): number[] => childrenWith(gateway.process.pid, 'REMIT_INSTANCE=');
    await expect.poll(watchers, PATIENT).toSatisfy((pids) => pids.length === 1 && pids[0] !== gateway.watcher);
    const [again] = watchers();
    gateway.process.kill('SIGKILL');
    await expectNothingLeft(gateway, again);
  });

  it('I3 the watcher outlives the signals that stop a gateway, and does its work', async () => {
    const gateway = await startGateway();
    await gateway.isOpen;
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) killOne(gateway.watcher, signal);
    gateway.process.kill('SIGINT');
    await once(gateway.process, 'exit');
    await expectNothingLeft(gateway);
  });

  if (mode === 'pid_namespace') {
    it('I3 the kernel alone ends even what left the session and wiped its environment', async () => {
      const gateway = await startGateway({ FAKE_WIPED: '1' });
      await gateway.isOpen;
      killOne(gateway.watcher, 'SIGSTOP');
      try {
        const [grandchild] = processesWith('cmdline', gateway.marker);
        expect(processesWith('environ', 'REMIT_INSTANCE')).not.toContain(grandchild);
        gateway.process.kill('SIGKILL');
        await expect.poll(() => processesWith('cmdline', gateway.marker), PATIENT).toEqual([]);
        await expect.poll(() => childrenOf(gateway), PATIENT).toEqual([]);
      } finally {
        killOne(gateway.watcher, 'SIGCONT');
      }
      await expectNothingLeft(gateway);
    });
  }
});

describe('probeContainment', () => {
  it('falls back to the watcher where the tools are missing, or hang', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'remit-test-'));
    expect(await probeContainment('')).toEqual({ mode: 'watcher', prefix: [] });
    expect(await probeContainment(`${folder}:relative/bin`)).toMatchObject({ mode: 'watcher' });
    for (const name of ['setpriv', 'unshare'])
      await writeFile(join(folder, name), '#!/bin/sh\nexec sleep 60\n', { mode: 0o755 });
    expect(await probeContainment(folder)).toMatchObject({ mode: 'watcher' });
    await rm(folder, { recursive: true });
  });
});
