import { describe, expect, it } from 'vitest';
import type { PolicySetRepository } from '../../src/seams/shared-store.ts';
import { useStoresOfOnePostgres } from '../support/stores-of-one-postgres.ts';
import { ACME, RIVAL } from './samples.ts';

const postgres = useStoresOfOnePostgres();
const sets = (index: number) => postgres.stores[index]?.shared?.policies as PolicySetRepository;
const set = (position: number, digest = `d${position}`) => ({ position, digest, sealed: `s${position}` });

describe('policies that nodes put in force, in PostgreSQL', () => {
  it('the newest is everybody’s, and alone can be read', async () => {
    expect(await sets(0).newest(ACME)).toBeUndefined();
    expect(await sets(0).publish(ACME, set(1))).toBe(true);
    expect(await sets(1).publish(ACME, set(2))).toBe(true);
    for (const index of [0, 1]) {
      expect(await sets(index).newest(ACME)).toEqual({ position: 2, digest: 'd2' });
      expect(await sets(index).read(ACME, 2)).toBe('s2');
      expect(await sets(index).read(ACME, 1)).toBeUndefined();
      expect(await sets(index).read(ACME, 3)).toBeUndefined();
    }
  });

  it('of two that publish after the same one, one is told that it was not first', async () => {
    await sets(0).publish(ACME, set(1));
    for (let position = 2; position < 12; position += 1) {
      const told = await Promise.all([0, 1].map((index) => sets(index).publish(ACME, set(position, `of ${index}`))));
      expect(told.toSorted()).toEqual([false, true]);
      expect(await sets(0).newest(ACME)).toEqual({ position, digest: `of ${told.indexOf(true)}` });
      expect(await sets(0).read(ACME, position)).toBe(`s${position}`);
    }
  });

  it('what was in force is remembered, a thousand times', async () => {
    for (const position of [1, 2, 3, 1_002]) await sets(0).publish(ACME, set(position));
    expect(await Promise.all(['d1', 'd2', 'd3', 'd1002', 'd9'].map((digest) => sets(1).had(ACME, digest)))).toEqual([
      ...[false, false, true],
      ...[true, false],
    ]);
  });

  it('I1 each tenant has its own', async () => {
    await sets(0).publish(ACME, set(1));
    expect(await sets(0).newest(RIVAL)).toBeUndefined();
    expect(await sets(0).read(RIVAL, 1)).toBeUndefined();
    expect(await sets(0).had(RIVAL, 'd1')).toBe(false);
    expect(await sets(1).publish(RIVAL, set(1, 'theirs'))).toBe(true);
    expect(await sets(0).newest(ACME)).toEqual({ position: 1, digest: 'd1' });
    await sets(0).publish(ACME, set(1_500));
    expect(await sets(0).read(RIVAL, 1)).toBe('s1');
    expect(await sets(0).had(RIVAL, 'theirs')).toBe(true);
    expect(await sets(0).had(RIVAL, 'd1500')).toBe(false);
  });

  it('the other nodes are told to look, once it is there', async () => {
    let heard: () => void = () => {};
    const hearing = new Promise<void>((resolve) => {
      heard = resolve;
    });
    let isReady: () => void = () => {};
    const ready = new Promise<void>((resolve) => {
      isReady = resolve;
    });
    let isPublished = false;
    const listening = postgres.stores[1]?.shared?.notices.listen(ACME, (notice) => {
      if (notice !== 'policy') return;
      // Once when it begins: some may have been missed.
      if (isPublished) heard();
      else isReady();
    });
    await ready;
    isPublished = true;
    await sets(0).publish(ACME, set(1));
    await hearing;
    await listening?.stop();
  });
});
