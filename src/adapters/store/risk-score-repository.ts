import { sql } from 'kysely';
import type { TenantId } from '../../domain/ids.ts';
import { scoreAt } from '../../domain/risk.ts';
import type { RiskScoreRepository } from '../../seams/shared-store.ts';
import { DATABASE_NOW } from './database-clock.ts';
import type { Atomically, Queries, RiskScoreTable } from './schema.ts';

/** Of a score that many half-lives old nothing is left, whatever it was. */
const HALF_LIVES = 40;
/** So long it is known what has counted already. Whoever sees the same thing later finds it in its history. */
const CAUSES_MS = 86_400_000;

/**
 * Scores that nodes share, in PostgreSQL. Whoever writes has the tenant's counter first, and keeps it until the rows are durable: they are written one after the
 * other, and whoever has read a position has read all before it.
 */
export function makeRiskScoreRepository(queries: Queries, atomically: Atomically): RiskScoreRepository {
  async function next(step: Queries, tenant: TenantId): Promise<{ position: number; now: number }> {
    const { position, now } = await step
      .insertInto('risk_heads')
      .values({ tenant, position: 1 })
      .onConflict((conflict) =>
        conflict.column('tenant').doUpdateSet({ position: sql<number>`risk_heads.position + 1` }),
      )
      .returning(['position', DATABASE_NOW.as('now')])
      .executeTakeFirstOrThrow();
    return { position: Number(position), now: Number(now) };
  }

  async function put(
    step: Queries,
    { tenant, subject, ...row }: Omit<RiskScoreTable, 'cleared_at'> & { cleared_at?: number },
  ): Promise<void> {
    await step
      .insertInto('risk_scores')
      .values({ tenant, subject, cleared_at: 0, ...row })
      .onConflict((conflict) => conflict.columns(['tenant', 'subject']).doUpdateSet(row))
      .execute();
  }

  return {
    add: (tenant, changes, { halfLifeMs, most }) =>
      atomically(async (step) => {
        const { position, now } = await next(step, tenant);
        const causes = changes.flatMap((one) =>
          'cause' in one && one.cause !== undefined ? [`${one.subject} ${one.cause}`] : [],
        );
        const fresh = new Set<string>();
        if (causes.length > 0) {
          const made = await step
            .insertInto('risk_causes')
            .values([...new Set(causes)].map((cause) => ({ tenant, cause, at: now })))
            .onConflict((conflict) => conflict.doNothing())
            .returning('cause')
            .execute();
          for (const { cause } of made) fresh.add(cause);
        }
        const subjects = [...new Set(changes.map(({ subject }) => subject))];
        const known = await step
          .selectFrom('risk_scores')
          .select(['subject', 'score', 'at', 'cleared_at'])
          .where('tenant', '=', tenant)
          .where('subject', 'in', subjects)
          .execute();
        const clearedAt = new Map(known.map(({ subject, cleared_at }) => [subject, cleared_at]));
        const scores = new Map(known.map((row) => [row.subject, scoreAt(row, now, halfLifeMs)]));
        for (const change of changes) {
          const before = scores.get(change.subject) ?? 0;
          let score = before;
          if ('atLeast' in change) {
            // A person may have looked since.
            if ((clearedAt.get(change.subject) ?? 0) < change.atLeast.at)
              score = Math.max(before, scoreAt(change.atLeast, now, halfLifeMs));
          } else if (change.cause === undefined || fresh.delete(`${change.subject} ${change.cause}`))
            score = before + change.points;
          scores.set(change.subject, Math.min(score, most));
        }
        const after = subjects.map((subject) => ({ subject, score: scores.get(subject) ?? 0, at: now }));
        for (const row of after) await put(step, { tenant, position, ...row });
        await step
          .deleteFrom('risk_scores')
          .where('tenant', '=', tenant)
          .where('at', '<', now - HALF_LIVES * halfLifeMs)
          .execute();
        await step
          .deleteFrom('risk_causes')
          .where('tenant', '=', tenant)
          .where('at', '<', now - CAUSES_MS)
          .execute();
        return after;
      }),

    clear: (tenant, subject) =>
      atomically(async (step) => {
        const { position, now } = await next(step, tenant);
        await put(step, { tenant, position, subject, score: 0, at: now, cleared_at: now });
      }),

    async read(tenant, after) {
      // One statement, so that head and rows are of the same moment.
      const rows = await queries
        .selectFrom('risk_heads')
        .leftJoin('risk_scores', (join) =>
          join.onRef('risk_scores.tenant', '=', 'risk_heads.tenant').on('risk_scores.position', '>', after),
        )
        .select(['risk_heads.position as head', 'risk_scores.subject', 'risk_scores.score', 'risk_scores.at'])
        .where('risk_heads.tenant', '=', tenant)
        .execute();
      return {
        head: Number(rows[0]?.head ?? 0),
        rows: rows.flatMap(({ subject, score, at }) =>
          subject === null || score === null || at === null ? [] : [{ subject, score, at: Number(at) }],
        ),
      };
    },
  };
}
