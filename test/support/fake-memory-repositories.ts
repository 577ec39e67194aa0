import type { StoredMark } from '../../src/domain/stored-mark.ts';
import type { Task } from '../../src/domain/task.ts';
import type {
  OAuthRepository,
  SigningKey,
  SigningKeyRepository,
  StoredMarkRepository,
  TaskRepository,
} from '../../src/seams/store.ts';

/** FAKE: repositories in memory, for tests of what stands on a store. What a store must do is in the store suite. */

export function createMemoryTasks(): TaskRepository & { readonly rows: Map<string, Task> } {
  const rows = new Map<string, Task>();
  return {
    rows,
    async insert(task) {
      rows.set(task.id, task);
    },
    async insertWithin(most, task) {
      const live = [...rows.values()].filter(({ agent, state }) => agent === task.agent && state !== 'ended');
      if (live.length >= most) return false;
      rows.set(task.id, task);
      return true;
    },
    get: async (_tenant, id) => rows.get(id),
    list: async (_tenant, filter) => [...rows.values()].filter(({ state }) => !filter?.state || state === filter.state),
    async end(_tenant, id, endReason, endedAt) {
      const task = rows.get(id);
      if (task === undefined || task.state === 'ended') return false;
      rows.set(id, { ...task, state: 'ended', endReason, endedAt });
      return true;
    },
    async setState(_tenant, id, state) {
      const task = rows.get(id);
      if (task !== undefined && task.state !== 'ended') rows.set(id, { ...task, state });
    },
    revoked: async () => [],
  };
}

interface OAuthRow {
  readonly payload: object;
  readonly expiresAt: number | undefined;
  consumedAt: number | undefined;
}

export function createMemoryOAuth(): OAuthRepository & { readonly rows: Map<string, OAuthRow> } {
  const rows = new Map<string, OAuthRow>();
  const key = (model: string, id: string): string => `${model}:${id}`;
  const isLive = (row: OAuthRow, now: number): boolean => row.expiresAt === undefined || row.expiresAt > now;
  return {
    rows,
    async upsert(model, id, payload, expiresAt) {
      rows.set(key(model, id), { payload, expiresAt, consumedAt: rows.get(key(model, id))?.consumedAt });
    },
    async find(model, id, now) {
      const row = rows.get(key(model, id));
      return row !== undefined && isLive(row, now) ? { payload: row.payload, consumedAt: row.consumedAt } : undefined;
    },
    async findByUid(model, uid, now) {
      for (const [name, row] of rows) {
        const isMatch =
          name.startsWith(`${model}:`) && (row.payload as { uid?: string }).uid === uid && isLive(row, now);
        if (isMatch) return { id: name.slice(model.length + 1), payload: row.payload };
      }
      return undefined;
    },
    async takeByUid(model, uid) {
      for (const [name, row] of rows) {
        if (!name.startsWith(`${model}:`) || (row.payload as { uid?: string }).uid !== uid) continue;
        rows.delete(name);
        return { id: name.slice(model.length + 1), payload: row.payload };
      }
      return undefined;
    },
    async consume(model, id, at) {
      const row = rows.get(key(model, id));
      if (row === undefined || row.consumedAt !== undefined) return false;
      row.consumedAt = at;
      return true;
    },
    async destroy(model, id) {
      rows.delete(key(model, id));
    },
    async revokeByGrantId(model, grantId) {
      for (const [name, row] of rows) {
        if (name.startsWith(`${model}:`) && (row.payload as { grantId?: string }).grantId === grantId)
          rows.delete(name);
      }
    },
    async removeExpired(now) {
      const expired = [...rows].filter(([, row]) => !isLive(row, now));
      for (const [name] of expired) rows.delete(name);
      return expired.length;
    },
  };
}

export function createMemorySigningKeys(): SigningKeyRepository & { rows: SigningKey[] } {
  const repository = {
    rows: [] as SigningKey[],
    list: async () => [...repository.rows],
    async rotate(key: SigningKey, othersRetireAt: number) {
      const others = repository.rows.map(
        (row): SigningKey => (row.state === 'current' ? { ...row, state: 'retired', retiresAt: othersRetireAt } : row),
      );
      repository.rows = [...others, key];
    },
    async removeRetiredBefore(time: number) {
      const kept = repository.rows.filter(({ retiresAt }) => retiresAt === undefined || retiresAt >= time);
      const removed = repository.rows.length - kept.length;
      repository.rows = kept;
      return removed;
    },
  };
  return repository;
}

export function createMemoryStoredMarks(): StoredMarkRepository & { readonly rows: StoredMark[] } {
  const rows: StoredMark[] = [];
  return {
    rows,
    async keep(mark) {
      rows.push(mark);
    },
    list: async () => [...rows],
    forget: async () => 0,
  };
}
