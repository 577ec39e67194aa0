import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { createApplier } from '../../src/compose/revocation/apply-revocation.ts';
import { RemitError } from '../../src/domain/errors.ts';
import { taskId, tenantId } from '../../src/domain/ids.ts';
import type { Lease } from '../../src/domain/lease.ts';
import type { Revocation } from '../../src/domain/revocation.ts';
import { createGate } from '../support/fake-issuer.ts';

const ROW = {
  tenant: tenantId('default'),
  position: 7,
  action: 'revoke',
  subject: { kind: 'task', id: 'tsk_one' },
  reason: 'leaked',
  by: 'dana',
  at: 1_000,
} as Revocation;

describe('an order in a gateway', () => {
  function build(retry: () => Promise<Partial<Lease>[]>, rows: Partial<Lease>[] = []) {
    const ending = createGate();
    const applier = createApplier({
      workspace: {
        estate: { tenant: tenantId('default'), connectors: new Map() },
        store: { leases: { list: async () => rows } },
      },
      tasks: {
        apply: () => ({ ended: [taskId('tsk_one')], suspended: [], resumed: [], done: ending.opened }),
      },
      leases: { retry },
      recordLater: () => {},
    } as never);
    return { applier, ending };
  }

  it('that is given again tells each credential once, as it stands by now', async () => {
    const [one, other] = [{ id: 'lse_1' }, { id: 'lse_2' }] as Partial<Lease>[];
    const again: Partial<Lease>[] = [
      { ...one, state: 'revoking' },
      { ...other, state: 'revoking' },
    ];
    const { applier, ending } = build(async () => again, [{ ...one, state: 'ended', endedAt: 2_000 }]);
    const applying = applier.apply(ROW);
    ending.open();
    expect(await applying).toMatchObject({ tasksEnded: 1, leases: { ended: 1, revoking: 1, lapsing: 0 } });
  });

  it('fails by itself alone where the rows cannot be read while tasks are still ending', async () => {
    const unheard: unknown[] = [];
    const hear = (error: unknown) => void unheard.push(error);
    process.on('unhandledRejection', hear);
    try {
      const { applier, ending } = build(() => Promise.reject(new RemitError('ERR_STORE_UNREACHABLE', 'away')));
      const applying = applier.apply(ROW).catch((error: unknown) => error);
      for (let turns = 0; turns < 5; turns++) await turn();
      ending.open();
      expect(await applying).toMatchObject({ code: 'ERR_STORE_UNREACHABLE' });
      expect(unheard).toEqual([]);
    } finally {
      process.off('unhandledRejection', hear);
    }
  });
});
