import fc from 'fast-check';
import { expect, it } from 'vitest';
import { REVOCATION_ACTIONS, REVOCATION_KINDS, type Revocation, Standing } from '../../src/domain/revocation.ts';
import { BOUND_MS, CONFIRMED_MS } from '../../src/revocation/bounds.ts';
import { createRevocationReader } from '../../src/revocation/revocation-reader.ts';
import { revoke } from '../../src/revocation/revoke.ts';
import type { RevocationRepository } from '../../src/seams/store.ts';
import { createFakeRevocationLog, createFakeTime, settle, TENANT } from './fake-revocation-log.ts';

/** Two gateways over one log; each has a way of its own to the store, which fails, hangs and comes back. */
type Step =
  | {
      readonly do: 'append';
      readonly node: number;
      readonly action: number;
      readonly kind: number;
      readonly id: number;
    }
  | { readonly do: 'crash'; readonly action: number; readonly kind: number; readonly id: number }
  | { readonly do: 'hint' | 'fail' | 'hang' | 'release'; readonly node: number }
  | { readonly do: 'pass' | 'stall'; readonly ms: number };

const node = fc.integer({ min: 0, max: 1 });
const what = {
  action: fc.integer({ min: 0, max: REVOCATION_ACTIONS.length - 1 }),
  kind: fc.integer({ min: 0, max: REVOCATION_KINDS.length - 1 }),
  id: fc.integer({ min: 0, max: 2 }),
};
const steps = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ do: fc.constant('append' as const), node, ...what }) },
    // The appending gateway dies with its hint: only reading brings it to the others.
    { weight: 2, arbitrary: fc.record({ do: fc.constant('crash' as const), ...what }) },
    { weight: 5, arbitrary: fc.record({ do: fc.constantFrom('hint', 'fail', 'hang', 'hang', 'release'), node }) },
    { weight: 5, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 1_500 }) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('stall' as const), ms: fc.integer({ min: 1, max: 5_000 }) }) },
  ) as fc.Arbitrary<Step>,
  { minLength: 10, maxLength: 80, size: 'max' },
);

function makeNode(shared: Revocation[], time: ReturnType<typeof createFakeTime>) {
  const log = createFakeRevocationLog(shared);
  const applied: Revocation[] = [];
  const standing = new Standing();
  const reader = createRevocationReader({
    tenant: TENANT,
    repository: log,
    standing,
    monotonic: () => time.now,
    schedule: time.schedule,
    log: { debug() {}, info() {}, warn() {}, error() {} },
    async apply(row) {
      applied.push(row);
    },
    onDenial: ({ isDenying }) => {
      expect(isDenying).not.toBe(node.isDenying);
      node.isDenying = isDenying;
    },
  });
  /** Since when this gateway has no way to the store. */
  const node = { log, applied, standing, reader, isDenying: false, deafSince: undefined as number | undefined };
  return node;
}

const foldOf = (rows: readonly Revocation[]): ReadonlySet<string> => {
  const standing = new Standing();
  for (const row of rows) standing.note(row);
  return new Set(standing.held().map(({ subject, position }) => `${subject.kind} ${subject.id} ${position}`));
};

it('V1 V3 whatever fails, is lost or stands still: after the binding time no gateway permits, one that cannot confirm denies, and positions have no gaps', async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (history) => {
      const time = createFakeTime();
      const shared: Revocation[] = [];
      /** When each row became durable, by position − 1. */
      const durableAt: number[] = [];
      const nodes = [makeNode(shared, time), makeNode(shared, time)];
      for (const { reader } of nodes) await reader.start();
      const noteNew = (): void => {
        while (durableAt.length < shared.length) durableAt.push(time.now);
      };
      const orderOf = ({ action, kind, id }: { action: number; kind: number; id: number }) => ({
        action: REVOCATION_ACTIONS[action] as Revocation['action'],
        subject: {
          kind: REVOCATION_KINDS[kind] as Revocation['subject']['kind'],
          id: REVOCATION_KINDS[kind] === 'all' ? '' : `x${id}`,
        },
        by: 'dana',
        reason: 'test',
      });

      function check(): void {
        expect(shared.map(({ position }) => position)).toEqual(shared.map((_, n) => n + 1));
        const bound = durableAt.filter((at) => at + BOUND_MS <= time.now).length;
        for (const { reader, standing, applied, deafSince } of nodes) {
          expect(applied).toEqual(shared.slice(0, standing.position));
          const held = new Set(
            standing.held().map(({ subject, position }) => `${subject.kind} ${subject.id} ${position}`),
          );
          expect(held).toEqual(foldOf(applied));
          if (deafSince !== undefined && time.now >= deafSince + CONFIRMED_MS) expect(reader.isCurrent()).toBe(false);
          // Whoever permits has reckoned in every row that binds by now.
          if (reader.isCurrent()) expect(standing.position).toBeGreaterThanOrEqual(bound);
        }
      }

      for (const step of history) {
        const at = 'node' in step ? (nodes[step.node] as (typeof nodes)[number]) : undefined;
        switch (step.do) {
          case 'append': {
            if (at?.log.mode === 'hangs') break;
            const parts = { tenant: TENANT, repository: at?.log as RevocationRepository, clock: () => time.now };
            const made = await revoke({ ...parts, reader: at?.reader as never }, orderOf(step)).catch(() => undefined);
            noteNew();
            if (made !== undefined) {
              expect(made.row).toEqual(shared[made.row.position - 1]);
              expect(made.bindsAt).toBeGreaterThanOrEqual((durableAt[made.row.position - 1] as number) + BOUND_MS);
              expect(at?.standing.position).toBeGreaterThanOrEqual(made.row.position);
            }
            break;
          }
          case 'crash':
            await createFakeRevocationLog(shared).append({ tenant: TENANT, at: 0, ...orderOf(step) });
            noteNew();
            break;
          case 'hint':
            void at?.reader.poll();
            await settle();
            break;
          case 'fail':
          case 'hang':
            if (at === undefined) break;
            at.log.mode = step.do === 'fail' ? 'fails' : 'hangs';
            // A reading that hangs is answered at `release`, for the time at which it was asked.
            at.deafSince ??= time.now;
            break;
          case 'release':
            if (at === undefined) break;
            at.log.mode = 'serves';
            at.log.release();
            at.deafSince = undefined;
            await settle();
            break;
          case 'pass':
            await time.pass(step.ms);
            break;
          case 'stall':
            time.stall(step.ms);
            break;
        }
        check();
      }

      // It recovers by itself.
      for (const { log } of nodes) {
        log.mode = 'serves';
        log.release();
      }
      await settle();
      await time.pass(500);
      for (const one of nodes) {
        expect(one.reader.isCurrent()).toBe(true);
        expect(one.isDenying).toBe(false);
        expect(one.standing.position).toBe(shared.length);
        one.reader.close();
      }
    }),
    { numRuns: 120 },
  );
});
