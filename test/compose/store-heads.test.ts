import { beforeEach, describe, expect, it } from 'vitest';
import { signCheckpoint } from '../../src/adapters/journal/checkpoint-file.ts';
import { ed25519Signer } from '../../src/adapters/journal/ed25519-signer.ts';
import { createVerifier, parseVerifier, type Verifier } from '../../src/adapters/journal/signed-note.ts';
import { isSignedHead, originOf, type StoreHeads, storeHeads } from '../../src/compose/trail/store-heads.ts';
import { tenantId } from '../../src/domain/ids.ts';
import type { TrailHead } from '../../src/domain/trail-head.ts';
import { signedHead } from '../support/signed-heads.ts';

const TENANT = tenantId('acme');
const head = (size: number, root = 1): TrailHead => signedHead(TENANT, 'na', size, root);
/** Another journal of the same node, under a key of its own. */
const another = (size: number): TrailHead => ({ ...signedHead(TENANT, 'a key made anew', size), node: 'na' });

let rows: (TrailHead & { isSuperseded: boolean })[];
let contradicted: string[];
let heads: StoreHeads;

const stored = (one: TrailHead, isSuperseded = false) => ({ ...one, isSuperseded });

beforeEach(() => {
  rows = [];
  contradicted = [];
  const workspace = {
    node: 'na',
    estate: { tenant: TENANT },
    store: {
      shared: {
        heads: {
          async publish(given: TrailHead) {
            const known = rows.find(({ origin }) => origin === given.origin);
            if (known === undefined) rows.push(stored(given));
            else if (known.size < given.size) Object.assign(known, given);
            return rows.find(({ origin }) => origin === given.origin);
          },
          list: async () => rows,
          ofNode: async () => rows,
        },
      },
    },
  };
  const verifier = parseVerifier(head(1).key) as Verifier;
  heads = storeHeads(workspace as never, verifier, (what) => contradicted.push(what)) as StoreHeads;
});

describe('what the store knows of a node’s journal', () => {
  it('A4 is its newest checkpoint, for a start to compare; of none nothing', async () => {
    expect(await heads.newest()).toBeUndefined();
    rows = [stored(head(7))];
    expect(await heads.newest()).toBe(head(7).checkpoint);
    expect(await heads.target.read()).toBe(head(7).checkpoint);
  });

  it('A4 another journal of the node is damage, unless it was given up on record', async () => {
    rows = [stored(head(7)), stored(another(3))];
    await expect(heads.newest()).rejects.toMatchObject({ code: 'ERR_JOURNAL_DAMAGED' });
    rows = [stored(head(7)), stored(another(3), true)];
    expect(await heads.newest()).toBe(head(7).checkpoint);
  });

  it('A4 a checkpoint that its key has not signed is damage', async () => {
    rows = [stored({ ...head(7), checkpoint: head(8).checkpoint })];
    await expect(heads.newest()).rejects.toMatchObject({ code: 'ERR_JOURNAL_DAMAGED' });
  });
});

describe('a journal that the store knows otherwise', () => {
  it.each([
    ['longer', head(9)],
    ['as long, with another root', head(7, 2)],
  ])('A4 is told of when a checkpoint is published and one is there that is %s', async (_, known) => {
    rows = [stored(known)];
    await heads.target.publish(head(7).checkpoint);
    expect(contradicted).toHaveLength(1);
  });

  it('A4 is told of when it is looked, where it came there since: another node has put it back', async () => {
    await heads.target.publish(head(7).checkpoint);
    await heads.check();
    expect(contradicted).toEqual([]);
    rows = [stored(head(9))];
    await heads.check();
    expect(contradicted).toHaveLength(1);
  });

  it('nothing is told of one that is shorter, or its own', async () => {
    await heads.target.publish(head(7).checkpoint);
    for (const known of [head(5), head(5, 2), head(7)]) {
      rows = [stored(known)];
      await heads.check();
    }
    expect(contradicted).toEqual([]);
  });

  it('nor of one that nobody has signed: whoever writes to the store stops no node by it', async () => {
    await heads.target.publish(head(7).checkpoint);
    rows = [stored({ ...head(9), checkpoint: head(8).checkpoint })];
    await heads.check();
    rows = [stored({ ...head(9), size: 10 })];
    await heads.check();
    await heads.target.publish(head(8).checkpoint);
    expect(contradicted).toEqual([]);
  });
});

it('A4 a head is one of the log that its key stands for, of its tenant, and as long as it says', () => {
  const signer = ed25519Signer(Buffer.alloc(32, 'na'));
  const own = head(7);
  expect(isSignedHead(own)).toBe(true);
  expect(isSignedHead({ ...own, size: 6 }), 'of another length').toBe(false);
  expect(isSignedHead({ ...own, tenant: tenantId('rival') }), 'of another tenant').toBe(false);
  expect(isSignedHead({ ...own, origin: originOf(TENANT, Buffer.alloc(32, 1)) }), 'of another log').toBe(false);
  expect(isSignedHead({ ...own, key: signedHead(TENANT, 'nb', 7).key }), 'by another key').toBe(false);
  expect(isSignedHead({ ...own, key: 'none' })).toBe(false);
  // Its key has signed it: for a log of a name that is not the key's.
  const strange = createVerifier('remit/acme/0000000000000000', signer.publicKey);
  const note = signCheckpoint({ size: 7, root: Buffer.alloc(32, 1).toString('latin1') }, strange, signer);
  const checkpoint = Buffer.from(note, 'latin1').toString('utf8');
  expect(isSignedHead({ ...own, key: strange.text, checkpoint })).toBe(false);
  expect(isSignedHead({ ...own, origin: strange.name, key: strange.text, checkpoint })).toBe(false);
});
