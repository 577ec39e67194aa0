import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { connectorId, toolRef } from '../../src/domain/ids.ts';
import { LEASE_MODES, type LeaseMode } from '../../src/domain/lease.ts';
import type { HeldLease } from '../../src/leases/held-lease.ts';
import { assertModeIsCarried, CARRIED_MODES } from '../../src/leases/lease-modes.ts';
import type { LeasedItem } from '../../src/leases/task-leases.ts';
import { createFakeIssuer, createGate } from '../support/fake-issuer.ts';
import { createWorld, SHOP } from './lease-world.ts';

const item = (name: string, actionClass: 'read' | 'write' = 'read'): LeasedItem => ({
  ref: toolRef(SHOP, name),
  profile: { actionClass },
});
const LIST = item('list');
const REFUND = item('refund', 'write');

function createModeWorld(mode: LeaseMode) {
  const issuer = createFakeIssuer();
  const retired: [string, string][] = [];
  const templates = { environment: {}, headers: { Authorization: 'Bearer {token}' } };
  const world = createWorld(issuer, {
    issuerOf: () => ({ issuer, mode, ttlSeconds: 300, templates }),
    onRetired: (lease, reason) => void retired.push([lease.id, reason]),
  });
  const bounds = { actionClasses: ['read', 'write'] as const, tools: [], resources: ['shop:public.orders'], calls: 9 };
  const mine = world.task({ bounds });
  const acquire = async (one?: LeasedItem) => (await world.manager.acquire(mine, SHOP, one)) as HeldLease;
  return { ...world, mine, acquire, retired };
}

describe('mode task', () => {
  it('has one credential for all tools, with all that the task may do', async () => {
    const { acquire, issuer } = createModeWorld('task');
    const held = await acquire(LIST);
    expect(await acquire(REFUND)).toBe(held);
    expect(held.lease).toMatchObject({ mode: 'task', tool: undefined });
    expect(issuer.requests).toMatchObject([{ tool: undefined, actionClasses: ['read', 'write'] }]);
    expect(held.endCall).toBeUndefined();
  });
});

describe('mode task_tool', () => {
  it('has one credential a tool, kept for its next call, with the action class of that tool alone', async () => {
    const { acquire, issuer, manager, mine } = createModeWorld('task_tool');
    const [list, refund] = [await acquire(LIST), await acquire(REFUND)];
    expect(list).not.toBe(refund);
    // From memory, without a promise.
    expect(manager.acquire(mine, SHOP, LIST)).toBe(list);
    expect(manager.acquire(mine, SHOP, REFUND)).toBe(refund);
    expect(list.lease).toMatchObject({ mode: 'task_tool', tool: LIST.ref });
    expect(issuer.requests).toMatchObject([
      { tool: LIST.ref, actionClasses: ['read'], resources: ['public.orders'] },
      { tool: REFUND.ref, actionClasses: ['write'], resources: ['public.orders'] },
    ]);
    expect(list.endCall).toBeUndefined();
  });

  it('is issued once for all who ask at once for the same tool', async () => {
    const { acquire, issuer } = createModeWorld('task_tool');
    const held = await Promise.all([acquire(LIST), acquire(REFUND), acquire(LIST)]);
    expect(held[0]).toBe(held[2]);
    expect(issuer.requests).toHaveLength(2);
  });

  it('D3 opens nothing where no tool is named, or where the task may not do what the tool does', async () => {
    const { acquire, issuer, manager, task } = createModeWorld('task_tool');
    const listening = await acquire();
    expect(await acquire()).toBe(listening);
    expect(await acquire(LIST), 'a tool is not served with it').not.toBe(listening);
    await manager.acquire(task(), SHOP, REFUND);
    expect(issuer.requests).toMatchObject([
      { tool: undefined, actionClasses: [], resources: [] },
      { tool: LIST.ref, actionClasses: ['read'] },
      { tool: REFUND.ref, actionClasses: [], resources: [] },
    ]);
  });

  it('V2 ends all of them with the task', async () => {
    const { acquire, manager, mine, issuer } = createModeWorld('task_tool');
    await acquire(LIST);
    await acquire(REFUND);
    expect(await manager.revokeTask(mine.id, 'completed')).toMatchObject([{ state: 'ended' }, { state: 'ended' }]);
    expect(issuer.live.size).toBe(0);
    expect(manager.counts()).toEqual({ held: 0, issuing: 0, revoking: 0 });
  });
});

describe('mode call', () => {
  it('is minted for one call and never kept for a second one, of the same tool or at the same time', async () => {
    const { acquire, issuer } = createModeWorld('call');
    const [one, two] = await Promise.all([acquire(LIST), acquire(LIST)]);
    const three = await acquire(LIST);
    expect(new Set([one.lease.id, two.lease.id, three.lease.id]).size).toBe(3);
    expect(issuer.requests).toHaveLength(3);
    expect(one.lease).toMatchObject({ mode: 'call', tool: LIST.ref });
  });

  it('is revoked when the call is over', async () => {
    const { acquire, issuer, time, rowsOf, mine, manager, retired } = createModeWorld('call');
    const held = await acquire(LIST);
    held.endCall?.();
    await time.settle();
    expect(held.isLive).toBe(false);
    expect(issuer.live.size).toBe(0);
    expect(rowsOf(mine.id)).toMatchObject([{ state: 'ended', endReason: 'call_over' }]);
    expect(retired).toEqual([[held.lease.id, 'call_over']]);
    expect(manager.counts()).toEqual({ held: 0, issuing: 0, revoking: 0 });
  });

  it('is revoked when its connection is done with what is under way, and no call is cut off', async () => {
    const { acquire, issuer, time } = createModeWorld('call');
    const held = await acquire(LIST);
    const release = held.retain();
    held.endCall?.();
    await time.settle();
    expect(held.isLive).toBe(true);
    release();
    await time.settle();
    expect(held.isLive).toBe(false);
    expect(issuer.live.size).toBe(0);
  });

  it('L3 ends at its expiry, whether the call is over or not', async () => {
    const { acquire, issuer, time } = createModeWorld('call');
    const held = await acquire(LIST);
    held.retain();
    await time.advance(300_000);
    expect(held.isLive).toBe(false);
    expect(issuer.live.size).toBe(0);
  });

  it('V2 ends with its task while it is being issued', async () => {
    const { acquire, issuer, time, manager, mine } = createModeWorld('call');
    const gate = createGate();
    issuer.issueScripts.push(async (commit) => {
      commit();
      await gate.opened;
    });
    const refused = expect(acquire(LIST)).rejects.toMatchObject({ code: 'ERR_TASK_REFUSED' });
    await time.settle();
    const revoked = manager.revokeTask(mine.id, 'revoked');
    await refused;
    gate.open();
    await revoked;
    await time.settle();
    expect(issuer.live.size).toBe(0);
  });
});

describe('which modes exist', () => {
  it.each(Object.entries(CARRIED_MODES))(
    '%s servers carry what the table says, and the rest is refused with a way out',
    (carrier, carried) => {
      const connector = connectorId('shop');
      for (const mode of LEASE_MODES) {
        const check = () => assertModeIsCarried(connector, carrier as keyof typeof CARRIED_MODES, mode);
        if (carried.includes(mode)) expect(check).not.toThrow();
        else {
          const fault = {
            code: 'ERR_CONFIG_INVALID',
            where: 'connectors.shop.credential.mode',
            hint: /task or task_tool/,
          };
          expect(check).toThrow(expect.objectContaining({ ...fault, hint: expect.stringMatching(fault.hint) }));
        }
      }
    },
  );

  it('the published table is this one', async () => {
    const page = await readFile(new URL('../../docs/how-to/lease-credentials.md', import.meta.url), 'utf8');
    const rows = page
      .split('\n')
      .filter((line) => /^\| (HTTP|SSE|stdio)/.test(line))
      .map((line) =>
        line
          .split('|')
          .slice(1, -1)
          .map((cell) => cell.trim()),
      );
    const published = rows.map(([server = '', , ...cells]) => [
      server.toLowerCase(),
      LEASE_MODES.filter((_, index) => cells[index] === 'yes'),
    ]);
    expect(new Set(published.map(([carrier]) => carrier))).toEqual(new Set(Object.keys(CARRIED_MODES)));
    for (const [carrier, modes] of published) expect(modes).toEqual(CARRIED_MODES[carrier as 'http']);
  });
});
