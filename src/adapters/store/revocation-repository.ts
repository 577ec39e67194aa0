import { type Selectable, sql } from 'kysely';
import { tenantId } from '../../domain/ids.ts';
import type { Revocation, RevocationAction, RevocationSubject } from '../../domain/revocation.ts';
import type { RevocationRepository } from '../../seams/store.ts';
import type { Atomically, Queries, RevocationTable } from './schema.ts';

/**
 * The revocation log. Positions come from a counter row that stays locked until the append is durable: a sequence would give a position away
 * before the row can be seen, and whoever reads on from the highest one would miss it for good.
 */
export function makeRevocationRepository(queries: Queries, atomically: Atomically): RevocationRepository {
  return {
    append: (entry) =>
      atomically(async (step) => {
        const { position } = await step
          .insertInto('revocation_heads')
          .values({ tenant: entry.tenant, position: 1 })
          .onConflict((conflict) =>
            conflict.column('tenant').doUpdateSet({ position: sql<number>`revocation_heads.position + 1` }),
          )
          .returning('position')
          .executeTakeFirstOrThrow();
        const row = { ...entry, position: Number(position) };
        await step
          .insertInto('revocations')
          .values({
            tenant: row.tenant,
            position: row.position,
            at: row.at,
            by: row.by,
            reason: row.reason,
            action: row.action,
            kind: row.subject.kind,
            subject: row.subject.id,
          })
          .execute();
        return row;
      }),

    async read(tenant, after, limit) {
      // One statement, so that head and rows are of the same moment.
      const rows = await queries
        .selectFrom('revocation_heads')
        .leftJoin('revocations', (join) =>
          join
            .onRef('revocations.tenant', '=', 'revocation_heads.tenant')
            .on('revocations.position', '>', after)
            .on('revocations.position', '<=', after + limit),
        )
        .select('revocation_heads.position as head')
        .selectAll('revocations')
        .where('revocation_heads.tenant', '=', tenant)
        .orderBy('revocations.position')
        .execute();
      return { head: rows[0]?.head ?? 0, rows: rows.flatMap(toRevocation) };
    },

    async standing(tenant) {
      const rows = await queries
        .selectFrom('revocation_heads')
        .leftJoin('revocations', (join) =>
          join
            .onRef('revocations.tenant', '=', 'revocation_heads.tenant')
            .on('revocations.action', '<>', 'resume')
            .on('revocations.kind', '<>', 'lease')
            .on(({ not, exists, selectFrom }) =>
              not(
                exists(
                  selectFrom('revocations as later')
                    .select('later.position')
                    .whereRef('later.tenant', '=', 'revocations.tenant')
                    .whereRef('later.kind', '=', 'revocations.kind')
                    .whereRef('later.subject', '=', 'revocations.subject')
                    .whereRef('later.position', '>', 'revocations.position'),
                ),
              ),
            )
            .on(({ eb, or, exists, selectFrom }) =>
              or([
                eb('revocations.kind', '<>', 'task'),
                exists(
                  selectFrom('tasks')
                    .select('tasks.id')
                    .whereRef('tasks.tenant', '=', 'revocations.tenant')
                    .whereRef('tasks.id', '=', 'revocations.subject')
                    .where('tasks.state', '<>', 'ended'),
                ),
              ]),
            ),
        )
        .select('revocation_heads.position as head')
        .selectAll('revocations')
        .where('revocation_heads.tenant', '=', tenant)
        .orderBy('revocations.position')
        .execute();
      return { head: rows[0]?.head ?? 0, rows: rows.flatMap(toRevocation) };
    },
  };
}

type Nullable<T> = { [K in keyof T]: T[K] | null };

/** None for a head without a row of its own in the answer. */
function toRevocation(row: Nullable<Selectable<RevocationTable>>): Revocation[] {
  if (row.position === null) return [];
  const known = row as Selectable<RevocationTable>;
  return [
    {
      tenant: tenantId(known.tenant),
      position: known.position,
      at: known.at,
      by: known.by,
      reason: known.reason,
      action: known.action as RevocationAction,
      subject: { kind: known.kind as RevocationSubject['kind'], id: known.subject },
    },
  ];
}
