import { expect, it } from 'vitest';
import { reapRepeatedly } from '../../src/compose/credentials/reap-leases.ts';
import type { Workspace } from '../../src/compose/workspace.ts';

it('L3 a reaper goes on after a round that fails, and ends when it is told to', async () => {
  const stop = new AbortController();
  const logged: string[] = [];
  const waits: number[] = [];
  let rounds = 0;
  const log = Object.fromEntries(
    ['debug', 'info', 'warn', 'error'].map((level) => [level, (_: object, text: string) => void logged.push(text)]),
  );
  const workspace = {
    config: {},
    estate: { tenant: 'default', connectors: new Map() },
    vault: {},
    store: {
      leases: { list: async () => [] },
      leaseClaims: {
        async due() {
          rounds += 1;
          if (rounds === 1) throw new Error('the store is away');
          if (rounds === 3) stop.abort();
          return { downstreams: [] };
        },
      },
    },
    system: {
      log,
      clock: () => 0,
      random: (bytes: number) => new Uint8Array(bytes),
      schedule(ms: number, task: () => void) {
        waits.push(ms);
        queueMicrotask(task);
        return () => {};
      },
    },
  } as unknown as Workspace;
  await reapRepeatedly(workspace, false, 60_000, stop.signal);
  expect(rounds).toBe(3);
  expect(waits).toEqual([60_000, 60_000]);
  expect(logged).toEqual(['leases could not be reaped; it is tried again']);
});
