import { AsyncLocalStorage } from 'node:async_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import type { Kysely } from 'kysely';
import { RemitError } from '../../domain/errors.ts';
import type { Notices, SharedStore } from '../../seams/shared-store.ts';
import type { Repositories, Store } from '../../seams/store.ts';
import { makeApprovalRepository } from './approval-repository.ts';
import { makeCanaryRepository } from './canary-repository.ts';
import { type Diagnosis, toFault } from './faults.ts';
import { makeInventoryRepository } from './inventory-repository.ts';
import { makeLeaseClaims } from './lease-claims.ts';
import { makeLeaseRepository } from './lease-repository.ts';
import { migrate } from './migrate.ts';
import type { Dialect } from './migrations.ts';
import { makeNodeRepository } from './node-repository.ts';
import { makeOAuthRepository } from './oauth-repository.ts';
import { makePaceRepository } from './pace-repository.ts';
import { makePolicySetRepository } from './policy-set-repository.ts';
import { makeStoreServer } from './postgres-server.ts';
import { makeRevocationRepository } from './revocation-repository.ts';
import { makeRiskHistoryRepository } from './risk-history-repository.ts';
import { makeRiskScoreRepository } from './risk-score-repository.ts';
import type { Atomically, Queries, Schema } from './schema.ts';
import { makeSealedRowRepository } from './sealed-row-repository.ts';
import { makeSecretRepository } from './secret-repository.ts';
import { makeSigningKeyRepository } from './signing-key-repository.ts';
import { makeStoredMarkRepository } from './stored-mark-repository.ts';
import { makeTaskKeyRepository } from './task-key-repository.ts';
import { makeTaskPlaceRepository, type Prepared } from './task-place-repository.ts';
import { makeTaskRepository } from './task-repository.ts';
import { makeTrailHeadRepository } from './trail-head-repository.ts';

/** A database as the store needs it: connected, whatever kind it is. */
export interface Database {
  readonly queries: Kysely<Schema>;
  readonly dialect: Dialect;
  /** Path, or host, port and database: shown to people. Never a password. */
  readonly where: string;
  diagnose(error: unknown): Diagnosis;
  /** Whether nothing was done and the same may succeed in a moment. */
  isBusy(error: unknown): boolean;
  /** Throws when what was opened is no longer there. Called before every use. */
  assertInPlace(): void;
  /** Longest wait for a busy database, milliseconds. */
  readonly busyMs: number;
  /** Longest life of one transaction, milliseconds: its work holds locks, and on SQLite everybody. */
  readonly transactionMs: number;
  /** Where several gateways may use it at a time. */
  readonly shared?: { readonly notices: Notices; readonly prepared: Prepared };
}

type Guard = <T>(work: () => Promise<T>) => Promise<T>;

const RETRY_MS = 20;

/** Migrates the database and makes it the store. Closes it when that fails. */
export async function makeStore(database: Database): Promise<Store> {
  const { queries, where } = database;
  /** Set inside the work of a transaction: the store itself must not be used there. */
  const running = new AsyncLocalStorage<{ isOpen: boolean }>();
  const unfinished = new Set<Promise<unknown>>();
  let isClosed = false;

  const once: Guard = async (work) => {
    try {
      return await work();
    } catch (error) {
      throw toFault(error, where, database.diagnose);
    }
  };

  /** Waits while the database is busy, without holding up this process. */
  const patiently: Guard = async (work) => {
    const deadline = performance.now() + database.busyMs;
    for (;;) {
      try {
        database.assertInPlace();
        return await work();
      } catch (error) {
        if (!database.isBusy(error) || performance.now() >= deadline) throw toFault(error, where, database.diagnose);
      }
      await delay(RETRY_MS);
    }
  };

  const refuseInside = () => {
    if (running.getStore()?.isOpen !== true) return;
    throw new RemitError('ERR_INTERNAL', 'the store was used inside a transaction: use what the transaction gives', {
      where,
      hint: 'This is a defect of Remit: transactions do not nest.',
    });
  };

  const outside: Guard = async (work) => {
    refuseInside();
    if (isClosed) throw new RemitError('ERR_STORE_UNREACHABLE', 'the store is closed', { where });
    const done = work();
    unfinished.add(done);
    try {
      return await done;
    } finally {
      unfinished.delete(done);
    }
  };

  /** Begins, runs, commits; whatever fails rolls back. Only the beginning waits for a busy database. */
  const runTransaction: Atomically = async (work) => {
    const transaction = await patiently(() => queries.startTransaction().execute());
    try {
      const result = await withinTime(work(transaction), database);
      await once(() => transaction.commit().execute());
      return result;
    } catch (error) {
      await transaction.rollback().execute().catch(ignore);
      throw error;
    }
  };

  const transact = <T>(work: (repositories: Repositories) => Promise<T>): Promise<T> =>
    runTransaction(async (transaction) => {
      let failure: { readonly error: unknown } | undefined;
      /** PostgreSQL turns the COMMIT of a failed transaction into a ROLLBACK: a failure that `work` hides still counts. */
      const dooming: Guard = async (statement) => {
        try {
          return await once(statement);
        } catch (error) {
          failure ??= { error };
          throw error;
        }
      };
      const state = { isOpen: true };
      try {
        const repositories = guard(
          makeRepositories(transaction, (steps) => steps(transaction), database.dialect),
          dooming,
        );
        const result = await running.run(state, () => work(repositories));
        if (failure !== undefined) throw failure.error;
        return result;
      } finally {
        state.isOpen = false;
      }
    });

  try {
    await once(() =>
      migrate({
        atomically: (work) => runTransaction((step) => work(step as unknown as Kysely<unknown>)),
        dialect: database.dialect,
        where,
        // A wait for SQLite is over before.
        isLocked: (error) =>
          database.dialect.name === 'postgres' && toFault(error, where, database.diagnose).code === 'ERR_STORE_LOCKED',
      }),
    );
  } catch (error) {
    await queries.destroy().catch(ignore);
    throw error;
  }

  const served: Guard = (work) => outside(() => patiently(work));
  const notices = database.shared?.notices;
  const shared =
    database.shared &&
    sharedWithNotices(
      guard(makeSharedRepositories(queries, database.shared.prepared, runTransaction, where), served),
      database.shared.notices,
    );
  const repositories = guard(makeRepositories(queries, runTransaction, database.dialect), served);
  return {
    ...(notices === undefined ? repositories : withNotices(repositories, notices)),
    ...(shared !== undefined && { shared }),
    transaction: (work) => outside(() => transact(work)),
    close: async () => {
      refuseInside();
      if (isClosed) return;
      isClosed = true;
      await Promise.allSettled(unfinished);
      await queries.destroy();
    },
  };
}

/** What several gateways share beyond the rows that a single one has. */
function makeSharedRepositories(queries: Queries, prepared: Prepared, atomically: Atomically, where: string) {
  return {
    nodes: makeNodeRepository(queries, atomically, where),
    places: makeTaskPlaceRepository(queries, prepared),
    heads: makeTrailHeadRepository(queries),
    paces: makePaceRepository(atomically),
    risks: makeRiskScoreRepository(queries, atomically),
    policies: makePolicySetRepository(queries, atomically),
    server: makeStoreServer(queries),
  };
}

function makeRepositories(queries: Queries, atomically: Atomically, dialect: Dialect): Repositories {
  return {
    tasks: makeTaskRepository(queries, atomically, dialect),
    leases: makeLeaseRepository(queries),
    leaseClaims: makeLeaseClaims(queries, dialect),
    revocations: makeRevocationRepository(queries, atomically),
    approvals: makeApprovalRepository(queries, atomically),
    secrets: makeSecretRepository(queries),
    sealedRows: makeSealedRowRepository(queries),
    taskKeys: makeTaskKeyRepository(queries),
    signingKeys: makeSigningKeyRepository(queries, atomically, 'task_token'),
    connectorKeys: makeSigningKeyRepository(queries, atomically, 'connector'),
    oauth: makeOAuthRepository(queries),
    inventory: makeInventoryRepository(queries, atomically, dialect),
    riskHistory: makeRiskHistoryRepository(queries),
    canaries: makeCanaryRepository(queries),
    storedMarks: makeStoredMarkRepository(queries),
  };
}

/** Puts every method of every repository behind the guard. */
function guard<R extends object>(repositories: R, through: Guard): R {
  type Method = (...parameters: unknown[]) => Promise<unknown>;
  const guardOne = (repository: object) =>
    Object.fromEntries(
      Object.entries(repository as Record<string, Method>).map(([name, method]) => [
        name,
        (...parameters: unknown[]) => through(() => method(...parameters)),
      ]),
    );
  const guarded = Object.entries(repositories).map(([name, repository]) => [name, guardOne(repository)]);
  return Object.fromEntries(guarded) as R;
}

/** What others should read at once is told of, when it is durable. */
function withNotices(repositories: Repositories, notices: Notices): Repositories {
  const { revocations, approvals, storedMarks, riskHistory } = repositories;
  return {
    ...repositories,
    riskHistory: {
      ...riskHistory,
      async add(row) {
        await riskHistory.add(row);
        notices.send(row.tenant, 'risk');
      },
    },
    revocations: {
      ...revocations,
      async append(entry) {
        const row = await revocations.append(entry);
        notices.send(entry.tenant, 'revocation');
        return row;
      },
    },
    approvals: {
      ...approvals,
      async decide(tenant, verdict, conclude) {
        const decided = await approvals.decide(tenant, verdict, conclude);
        notices.send(tenant, 'approval');
        return decided;
      },
    },
    storedMarks: {
      ...storedMarks,
      async keep(mark) {
        await storedMarks.keep(mark);
        notices.send(mark.tenant, 'mark');
      },
    },
  };
}

function sharedWithNotices(shared: Omit<SharedStore, 'notices'>, notices: Notices): SharedStore {
  const { risks, policies } = shared;
  return {
    ...shared,
    notices,
    risks: {
      ...risks,
      async add(tenant, changes, decay) {
        const after = await risks.add(tenant, changes, decay);
        notices.send(tenant, 'risk');
        return after;
      },
      async clear(tenant, subject) {
        await risks.clear(tenant, subject);
        notices.send(tenant, 'risk');
      },
    },
    policies: {
      ...policies,
      async publish(tenant, set) {
        const isPublished = await policies.publish(tenant, set);
        if (isPublished) notices.send(tenant, 'policy');
        return isPublished;
      },
    },
  };
}

async function withinTime<T>(work: Promise<T>, { transactionMs, where }: Database): Promise<T> {
  const abort = new AbortController();
  const late = delay(transactionMs, undefined, { signal: abort.signal }).then(() => {
    throw new RemitError('ERR_STORE_LOCKED', `a transaction took longer than ${transactionMs} ms and was undone`, {
      where,
      hint: 'This is a defect of Remit: a transaction waits for nothing but the store.',
    });
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    abort.abort();
    late.catch(ignore);
    work.catch(ignore);
  }
}

function ignore(): void {}
