import { sql } from 'kysely';
import { PACE_WINDOW_MS } from '../../domain/node.ts';
import type { PaceRepository } from '../../seams/shared-store.ts';
import { DATABASE_NOW } from './database-clock.ts';
import { lockFor } from './lock-for.ts';
import type { Atomically } from './schema.ts';

/** Of calls that were made, whoever made them. */
const MADE = '';

/** Paces that nodes share, in PostgreSQL. One rule: a row counts until its time. */
export function makePaceRepository(atomically: Atomically): PaceRepository {
  return {
    draw: (tenant, pace, { holder, used, keep, want, most, holdMs }) =>
      atomically(async (step) => {
        await lockFor(step, 'pace', tenant, pace);
        const { now, made, held } = await step
          .selectFrom('pace_counts')
          .select(({ fn, eb }) => [
            DATABASE_NOW.as('now'),
            fn.coalesce(fn.sum<number>('calls').filterWhere('holder', '=', MADE), eb.lit(0)).as('made'),
            fn.coalesce(fn.sum<number>('calls').filterWhere('holder', '<>', MADE), eb.lit(0)).as('held'),
          ])
          .where('tenant', '=', tenant)
          .where('pace', '=', pace)
          .where('holder', '<>', holder)
          .where('counts_until', '>', DATABASE_NOW)
          .executeTakeFirstOrThrow();
        const sofar = Number(made) + used;
        const more = Math.max(0, Math.min(want - keep, most - sofar - Number(held) - keep));
        await step
          .deleteFrom('pace_counts')
          .where('tenant', '=', tenant)
          .where('pace', '=', pace)
          .where(({ or, eb }) => or([eb('holder', '=', holder), eb('counts_until', '<=', DATABASE_NOW)]))
          .execute();
        const row = { tenant, pace };
        const rows = [];
        // By the second, so that there are few.
        const until = Math.ceil((now + PACE_WINDOW_MS) / 1_000) * 1_000;
        if (used > 0) rows.push({ ...row, holder: MADE, counts_until: until, calls: used });
        // The last of it may be called as late as it is held, and then counts as long as any other.
        const heldUntil = now + holdMs + PACE_WINDOW_MS;
        if (keep + more > 0) rows.push({ ...row, holder, counts_until: heldUntil, calls: keep + more });
        if (rows.length > 0) {
          await step
            .insertInto('pace_counts')
            .values(rows)
            .onConflict((conflict) =>
              conflict
                .columns(['tenant', 'pace', 'holder', 'counts_until'])
                .doUpdateSet({ calls: sql<number>`pace_counts.calls + excluded.calls` }),
            )
            .execute();
        }
        return { more, made: sofar };
      }),
  };
}
