import { describe, expect, it } from 'vitest';
import { agentId, connectorId } from '../../src/domain/ids.ts';
import type { HeldLease } from '../../src/leases/held-lease.ts';
import { createFakeIssuer, createGate, holdIssue } from '../support/fake-issuer.ts';
import { createWorld, SHOP } from './lease-world.ts';

const CRM = connectorId('crm');

function createWideWorld() {
  const issuer = createFakeIssuer();
  const templates = { environment: { T: '{token}' }, headers: {} };
  return createWorld(issuer, { issuerOf: () => ({ issuer, mode: 'task', ttlSeconds: 300, templates }) });
}

describe('suspended is not ended', () => {
  it('revokes all that a task holds, and gives it anew when it goes on (fault 47)', async () => {
    const { manager, issuer, task, rowsOf } = createWideWorld();
    const mine = task();
    const [shop, crm] = [await manager.acquire(mine, SHOP), await manager.acquire(mine, CRM)] as HeldLease[];
    expect(await manager.suspendTask(mine.id, 'suspended')).toHaveLength(2);
    expect([shop?.isLive, crm?.isLive]).toEqual([false, false]);
    expect(issuer.live.size, 'nothing is kept alive for later').toBe(0);
    expect(rowsOf(mine.id)).toMatchObject([{ endReason: 'suspended' }, { endReason: 'suspended' }]);

    const again = await manager.acquire(mine, SHOP);
    expect(again?.isLive).toBe(true);
    expect(again?.lease.id).not.toBe(shop?.lease.id);
    await manager.revokeTask(mine.id, 'completed');
    await expect(manager.acquire(mine, SHOP)).rejects.toMatchObject({ code: 'ERR_TASK_REFUSED' });
  });

  it('refuses a task that is suspended for as long as it says so', async () => {
    const { manager, task } = createWideWorld();
    const mine = task();
    await manager.suspendTask(mine.id, 'suspended');
    await expect(manager.acquire({ ...mine, state: 'suspended' }, SHOP)).rejects.toMatchObject({
      code: 'ERR_TASK_REFUSED',
    });
  });

  it('calls off what is being issued, and does not touch what is acquired while it looks for the rest', async () => {
    const { manager, issuer, task, repository, time } = createWideWorld();
    const mine = task();
    const issuing = holdIssue(issuer);
    const refused = expect(manager.acquire(mine, SHOP)).rejects.toMatchObject({ code: 'ERR_TASK_REFUSED' });
    await time.settle();
    const reading = createGate();
    const { list } = repository;
    repository.list = async (...asked) => {
      await reading.opened;
      return list(...asked);
    };
    const suspended = manager.suspendTask(mine.id, 'suspended');
    await refused;
    await time.settle();
    const anew = await manager.acquire(mine, SHOP);
    reading.open();
    await suspended;
    expect(anew?.isLive).toBe(true);
    issuing.open();
    await time.settle();
    expect([...issuer.live.keys()]).toEqual([anew?.lease.tag]);
  });

  it('V2 ends what another process left of a suspended task', async () => {
    const { manager, issuer, task, restart } = createWideWorld();
    const mine = task();
    await manager.acquire(mine, SHOP);
    const other = restart();
    expect(await other.suspendTask(mine.id, 'suspended')).toMatchObject([{ state: 'ended' }]);
    expect(issuer.live.size).toBe(0);
  });
});

describe('a connector or an agent', () => {
  it('L4 a lease that another node has revoked is out of memory here at once when it is dropped, and nobody is asked again', async () => {
    const { manager, issuer, task, restart, rowsOf, outcomes } = createWideWorld();
    const here = restart();
    const [mine, other] = [task(), task()];
    const held = (await here.acquire(mine, SHOP)) as HeldLease;
    const crm = (await here.acquire(mine, CRM)) as HeldLease;
    expect(await manager.revokeConnector(SHOP, 'authorised anew')).toMatchObject([{ state: 'ended' }]);
    const theirs = (await manager.acquire(other, SHOP)) as HeldLease;
    const dropped = here.dropConnector(SHOP, 'authorised anew');
    expect(held.isLive).toBe(false);
    expect(await dropped).toMatchObject([{ id: held.lease.id, state: 'ended' }]);
    expect([crm.isLive, theirs.isLive], 'of another connector, and of another node').toEqual([true, true]);
    expect(outcomes(), 'revoked once').toEqual(['revoked']);
    expect(issuer.live.size).toBe(2);
    expect(rowsOf(other.id)).toMatchObject([{ state: 'active' }]);
    expect(((await here.acquire(mine, SHOP)) as HeldLease).isLive, 'anew').toBe(true);
  });

  it('V2 loses every lease, and others keep theirs', async () => {
    const { manager, task } = createWideWorld();
    const [mine, others] = [task(), task({ agent: agentId('other') })];
    const held = (await Promise.all([
      manager.acquire(mine, SHOP),
      manager.acquire(mine, CRM),
      manager.acquire(others, SHOP),
      manager.acquire(others, CRM),
    ])) as HeldLease[];
    expect(await manager.revokeConnector(SHOP, 'connector_suspended')).toHaveLength(2);
    expect(held.map(({ isLive }) => isLive)).toEqual([false, true, false, true]);
    expect(await manager.revokeAgent(mine.agent, 'agent_suspended')).toHaveLength(1);
    expect(held.map(({ isLive }) => isLive)).toEqual([false, false, false, true]);
    // Who is refused meanwhile is not for leases to say.
    expect((await manager.acquire(mine, SHOP))?.isLive).toBe(true);
  });

  it('V2 loses those of other processes too', async () => {
    const { manager, issuer, task, restart } = createWideWorld();
    await manager.acquire(task(), SHOP);
    await manager.acquire(task({ agent: agentId('other') }), CRM);
    const other = restart();
    expect(await other.revokeConnector(SHOP, 'connector_suspended')).toMatchObject([{ connector: SHOP }]);
    expect(await other.revokeAgent(agentId('other'), 'agent_suspended')).toMatchObject([{ connector: CRM }]);
    expect(issuer.live.size).toBe(0);
  });

  it('says that it could not look for the rest, when what is known here has been revoked', async () => {
    const { manager, issuer, task, repository } = createWideWorld();
    await manager.acquire(task(), SHOP);
    repository.list = () => Promise.reject(new Error('no store'));
    await expect(manager.revokeAgent(agentId('agent'), 'agent_suspended')).rejects.toThrow('no store');
    expect(issuer.live.size).toBe(0);
  });
});
