import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openPostgres } from '../../src/adapters/store/open-postgres.ts';
import type { SharedStore } from '../../src/seams/shared-store.ts';
import type { Store } from '../../src/seams/store.ts';
import { type EmbeddedPostgres, startPostgres } from '../support/embedded-postgres.ts';
import { signedHead } from '../support/signed-heads.ts';
import { ACME, RIVAL } from './samples.ts';

let server: EmbeddedPostgres;
let store: Store;
let heads: SharedStore['heads'];

beforeAll(async () => {
  server = await startPostgres({ fsync: false });
  store = await openPostgres({ url: server.url('postgres') });
  heads = store.shared?.heads as SharedStore['heads'];
});
afterAll(async () => {
  await store?.close();
  await server?.stop();
});

describe('checkpoints of nodes in PostgreSQL', () => {
  it('the longer one stays, and a writer is told what is there', async () => {
    const [five, other, nine] = [signedHead(ACME, 'a', 5), signedHead(ACME, 'a', 5, 2), signedHead(ACME, 'a', 9)];
    expect(await heads.publish(five)).toEqual(five);
    expect(await heads.publish(five)).toEqual(five);
    expect(await heads.publish(other)).toEqual(five);
    expect(await heads.publish(nine)).toEqual(nine);
    expect(await heads.publish(five)).toEqual(nine);
    await Promise.all([30, 10, 20].map((size) => heads.publish(signedHead(ACME, 'a', size))));
    expect(await heads.list(ACME)).toEqual([signedHead(ACME, 'a', 30)]);
    expect(await heads.list(RIVAL)).toEqual([]);
  });

  it('journals of a node that were given up stay known as such', async () => {
    const [first, second] = [signedHead(ACME, 'b', 5), { ...signedHead(ACME, 'b2', 1), node: 'b' }];
    await heads.publish(first);
    await heads.publish(second);
    const theirs = { ...signedHead(RIVAL, 'b', 5), node: 'b' };
    await heads.publish(theirs);
    await heads.supersede(ACME, 'b', second.origin);
    expect(await heads.ofNode(ACME, 'b')).toEqual(
      expect.arrayContaining([
        { ...first, isSuperseded: true },
        { ...second, isSuperseded: false },
      ]),
    );
    expect(await heads.ofNode(RIVAL, 'b'), 'I1').toEqual([{ ...theirs, isSuperseded: false }]);
    expect(await heads.ofNode(ACME, 'b')).toHaveLength(2);
    expect((await heads.ofNode(ACME, 'a')).map(({ isSuperseded }) => isSuperseded)).toEqual([false]);
  });
});
