import { afterEach, beforeEach, describe } from 'vitest';
import type { Store } from '../../src/seams/store.ts';
import { testApprovals } from '../store/approval-cases.ts';
import { testCanaries } from '../store/canary-cases.ts';
import { testInventory } from '../store/inventory-cases.ts';
import { testKeys } from '../store/key-cases.ts';
import { testLeases } from '../store/lease-cases.ts';
import { testOAuth } from '../store/oauth-cases.ts';
import { testRevocations } from '../store/revocation-cases.ts';
import { testRiskHistory } from '../store/risk-history-cases.ts';
import { testStoredMarks } from '../store/stored-mark-cases.ts';
import { testTasks } from '../store/task-cases.ts';
import { testTransactions } from '../store/transaction-cases.ts';

/** One fresh, empty database. */
export interface StoreFixture {
  readonly store: Store;
  /** A second, independent store on the same database, as another process would open it. Closed by the fixture. */
  openAnother(): Promise<Store>;
  /** Another session locks every table until the returned function is called. */
  lock(): Promise<() => Promise<void>>;
  /** Writes the schema version that a later release would write. */
  claimSchemaVersion(version: number): Promise<void>;
  /** Closes every store and removes the database. */
  close(): Promise<void>;
}

/** What every implementation of `Store` must do. `open` is called once a test. */
export function storeSuite(name: string, open: () => Promise<StoreFixture>): void {
  describe(`store on ${name}`, () => {
    let fixture: StoreFixture;
    beforeEach(async () => {
      fixture = await open();
    });
    afterEach(async () => {
      await fixture.close();
    });
    const current = () => fixture;
    describe('tasks', () => testTasks(current));
    describe('leases', () => testLeases(current));
    describe('revocations', () => testRevocations(current));
    describe('approvals', () => testApprovals(current));
    describe('secrets and keys', () => testKeys(current));
    describe('authorization server', () => testOAuth(current));
    describe('canaries', () => testCanaries(current));
    describe('stored marks', () => testStoredMarks(current));
    describe('inventory', () => testInventory(current));
    describe('risk history', () => testRiskHistory(current));
    describe('transactions and faults', () => testTransactions(current));
  });
}

/** How many of the racing calls came back true. */
export async function countWinners(attempts: readonly Promise<boolean>[]): Promise<number> {
  return (await Promise.all(attempts)).filter(Boolean).length;
}
