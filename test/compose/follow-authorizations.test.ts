import { randomBytes } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Authorization } from '../../src/adapters/issuers/mcp-oauth/authorization.ts';
import { createAuthorizationStore } from '../../src/compose/credentials/authorization-store.ts';
import {
  type FollowedAuthorizations,
  followAuthorizations,
} from '../../src/compose/credentials/follow-authorizations.ts';
import { RemitError } from '../../src/domain/errors.ts';
import { connectorId, tenantId } from '../../src/domain/ids.ts';
import { Secret } from '../../src/domain/secret.ts';
import { createVault, type Vault } from '../../src/secrets/vault.ts';
import { createFakeTime, type FakeTime } from '../support/fake-lease-time.ts';
import {
  createFakeMemorySecretRepository,
  type FakeMemorySecretRepository,
} from '../support/fake-memory-secret-repository.ts';
import { localKey, never, ringOf } from '../support/key-rings.ts';

const [NOTES, BOARD] = [connectorId('notes'), connectorId('board')];

describe('authorizations of other nodes', () => {
  let rows: FakeMemorySecretRepository;
  let vault: Vault;
  let time: FakeTime;
  /** How often the store was asked, by each way of asking. */
  let asked: { list: number; get: number };
  let isStoreGone: boolean;
  let isRowGone: boolean;
  beforeEach(() => {
    time = createFakeTime();
    rows = createFakeMemorySecretRepository();
    asked = { list: 0, get: 0 };
    [isStoreGone, isRowGone] = [false, false];
    const { list, get } = rows;
    const gone = new RemitError('ERR_STORE_UNREACHABLE', 'gone');
    rows.list = async (...about) => {
      asked.list += 1;
      if (isStoreGone) throw gone;
      return list(...about);
    };
    rows.get = async (...about) => {
      asked.get += 1;
      if (isStoreGone || isRowGone) throw gone;
      return get(...about);
    };
    const parts = { tenant: tenantId('default'), clock: time.clock, schedule: never, random: randomBytes };
    vault = createVault({ ...parts, repository: rows, keys: ringOf(localKey(randomBytes(32))) });
  });

  interface Node extends FollowedAuthorizations {
    /** What it did, in order. */
    readonly steps: string[];
    /** Connectors of which it holds leases in memory. */
    readonly held: Set<string>;
  }

  async function node(isShared = true): Promise<Node> {
    const steps: string[] = [];
    const held = new Set<string>([NOTES]);
    const log = { info() {}, warn() {}, error() {}, debug() {} };
    const places = [NOTES, BOARD].map(
      (id) => [id, { store: createAuthorizationStore(vault, id), rows: [`remit-authorization:${id}`] }] as const,
    );
    const followed = await followAuthorizations({
      workspace: {
        store: isShared ? { shared: {} } : {},
        vault,
        system: { monotonic: time.clock, schedule: time.schedule, log },
      } as never,
      places: new Map(places),
      leases: {
        dropConnector: async (connector, reason) => {
          if (held.delete(connector)) steps.push(`${connector} let go: ${reason}`);
          return [];
        },
      },
      catalogue: {
        refresh: async (connector) => {
          steps.push(`${connector} listed`);
          held.add(connector);
          return [];
        },
      },
    });
    return { ...followed, steps, held };
  }

  /** As the node does that a browser came back to, and one that refreshes or ends it. */
  async function write(change: Partial<Authorization> = {}): Promise<void> {
    const store = createAuthorizationStore(vault, NOTES);
    const before = await store.read();
    const given: Authorization = {
      issuer: 'https://issuer.example',
      resource: undefined,
      identity: {
        id: 'remit',
        source: 'configured',
        method: 'none',
        secret: undefined,
        secretExpiresAt: undefined,
        callback: 'https://remit.example/oauth/connector/callback',
      },
      scopes: [],
      refreshToken: new Secret('canary-refresh'),
      sharedToken: undefined,
      authorizedAt: time.clock(),
      authorizedBy: 'dana',
      from: undefined,
      claim: undefined,
      unanswered: undefined,
      ended: undefined,
    };
    await store.write({ ...(before?.authorization ?? given), ...change }, before?.version ?? 0);
  }
  const authorize = (): Promise<void> => write({ authorizedAt: time.clock(), ended: undefined });
  const takeAway = (): Promise<void> => write({ ended: { at: time.clock(), reason: 'taken_away' } });
  const forget = (): Promise<boolean> => createAuthorizationStore(vault, NOTES).remove();

  it('are taken up within a second: what is held of the one before is let go of first, and the connector listed; once', async () => {
    const [here, there] = [await node(), await node()];
    await time.advance(10);
    await authorize();
    await here.note(NOTES);
    await time.advance(1_000);
    const taken = ['notes let go: authorised anew', 'notes listed'];
    expect(there.steps).toEqual(taken);
    expect(here.steps, 'who took the answer does that itself').toEqual([]);
    await time.advance(10_000);
    expect(there.steps).toEqual(taken);
    await authorize();
    await time.advance(1_000);
    expect([here.steps, there.steps]).toEqual([taken, [...taken, ...taken]]);
  });

  it('that were there at the start are no news', async () => {
    await authorize();
    const { steps } = await node();
    await time.advance(5_000);
    expect(steps).toEqual([]);
  });

  it('cost one statement a look, and a row that has not changed is not opened', async () => {
    await authorize();
    await node();
    await time.advance(1_000);
    asked = { list: 0, get: 0 };
    await time.advance(10_000);
    expect(asked).toEqual({ list: 10, get: 0 });
  });

  it('are the same however often they are refreshed, and when their server takes them no more', async () => {
    await authorize();
    const { steps } = await node();
    await write({ refreshToken: new Secret('rotated') });
    await time.advance(2_000);
    await write({ claim: { by: 'x', until: time.clock() + 1 } });
    await time.advance(2_000);
    await write({ ended: { at: time.clock(), reason: 'invalid_grant' } });
    await time.advance(2_000);
    expect(steps).toEqual([]);
    await authorize();
    await time.advance(1_000);
    expect(steps).toEqual(['notes let go: authorised anew', 'notes listed']);
  });

  it('V2 that are taken away are used no more, whether the row is still there or not, and nothing is listed', async () => {
    await authorize();
    const [first, second] = [await node(), await node()];
    await takeAway();
    await time.advance(1_000);
    expect(first.steps).toEqual(['notes let go: authorization ended']);
    await forget();
    first.held.add(NOTES);
    await time.advance(1_000);
    expect(first.steps).toEqual(Array(2).fill('notes let go: authorization ended'));
    first.stop();
    await authorize();
    await time.advance(1_000);
    second.steps.length = 0;
    // Ended, forgotten and given again between two looks: its row begins at the same version.
    await forget();
    await time.advance(1);
    await authorize();
    await time.advance(1_000);
    expect(second.steps).toEqual(['notes let go: authorised anew', 'notes listed']);
  });

  it('V2 that are given and taken away again between two looks leave nothing in memory, here or where they were given', async () => {
    const nodes = [await node(), await node()] as const;
    await time.advance(1_000);
    for (const { steps } of nodes) steps.length = 0;
    await authorize();
    await nodes[0].note(NOTES);
    for (const { held } of nodes) held.add(NOTES);
    await takeAway();
    await forget();
    await time.advance(1_000);
    expect(nodes.map(({ steps }) => steps)).toEqual(Array(2).fill(['notes let go: authorization ended']));
  });

  it('V2 that cannot be looked for five seconds: what came of them is let go of, and taken up when they can be', async () => {
    await authorize();
    const { steps, held } = await node();
    await time.advance(1_000);
    held.add(BOARD);
    isStoreGone = true;
    await time.advance(4_000);
    expect(steps).toEqual([]);
    await time.advance(2_000);
    expect(new Set(steps)).toEqual(
      new Set(['notes let go: authorization not known', 'board let go: authorization not known']),
    );
    isStoreGone = false;
    steps.length = 0;
    await time.advance(1_000);
    expect(steps).toEqual(['notes listed']);
    steps.length = 0;
    await time.advance(5_000);
    expect(steps).toEqual([]);
  });

  it('V2 one that has changed and cannot be read is let go of after five seconds, others are not', async () => {
    await authorize();
    const { steps } = await node();
    await time.advance(1_000);
    await authorize();
    isRowGone = true;
    await time.advance(7_000);
    expect(new Set(steps)).toEqual(new Set(['notes let go: authorization not known']));
  });

  it('V2 one that could not be read at the start is news when it can be', async () => {
    await authorize();
    isStoreGone = true;
    const { steps } = await node();
    isStoreGone = false;
    await time.advance(1_000);
    expect(steps).toContain('notes let go: authorised anew');
    expect(steps).toContain('notes listed');
  });

  it('are not looked for where a store is one gateway’s alone, nor after the stop', async () => {
    await node(false);
    (await node()).stop();
    asked = { list: 0, get: 0 };
    await time.advance(10_000);
    expect(asked).toEqual({ list: 0, get: 0 });
  });
});
