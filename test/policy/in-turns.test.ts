import { performance } from 'node:perf_hooks';
import { describe, expect, it } from 'vitest';
import { createCedarEngine, createCedarEngineInTurns } from '../../src/adapters/policy/cedar-engine.ts';
import { atOnce, inTurns } from '../../src/adapters/policy/in-turns.ts';
import { loadPolicies } from '../../src/adapters/policy/load-policies.ts';
import { INVENTORY, QUERY, sampleRequest } from './samples.ts';

/** Steps of a millisecond each. */
function* busy(steps: number, onEnd: () => void = () => {}): Generator<void, string> {
  try {
    for (let step = 0; step < steps; step += 1) {
      const until = performance.now() + 1;
      while (performance.now() < until);
      yield;
    }
    return 'done';
  } finally {
    onEnd();
  }
}

describe('work in turns', () => {
  it('is the same as at once, and lets others in', async () => {
    expect(atOnce(busy(3))).toBe('done');
    let isBusy = true;
    let turns = 0;
    const count = (): void => {
      turns += 1;
      if (isBusy) setImmediate(count);
    };
    setImmediate(count);
    await expect(inTurns(busy(60))).resolves.toBe('done');
    isBusy = false;
    expect(turns).toBeGreaterThan(3);
  });

  it('ends between two steps when it is given up, and cleans up', async () => {
    const stopping = new AbortController();
    let isCleaned = false;
    const work = inTurns(
      busy(10_000, () => {
        isCleaned = true;
      }),
      stopping.signal,
    );
    setImmediate(() => stopping.abort(new Error('it stops')));
    await expect(work).rejects.toThrow('it stops');
    expect(isCleaned).toBe(true);
  });

  it('D6 an engine that was made in turns is the one that is made at once', async () => {
    const loaded = loadPolicies(
      [{ path: 'p.cedar', text: '@id("open")\npermit (principal, action in Remit::Action::"read", resource);\n' }],
      INVENTORY,
    );
    const [one, other] = [createCedarEngine(loaded), await createCedarEngineInTurns(loaded)];
    expect(other.version).toBe(one.version);
    expect(other.evaluate(sampleRequest(QUERY))).toEqual(one.evaluate(sampleRequest(QUERY)));
    one.release();
    other.release();
  });

  it('an engine that is given up leaves nothing in Cedar', async () => {
    const loaded = loadPolicies([{ path: 'p.cedar', text: 'permit (principal, action, resource);\n' }], INVENTORY);
    const filled = new Set<string>();
    const stopping = new AbortController();
    const cedar = {
      preparsePolicySet(slot: string, { staticPolicies }: { staticPolicies: object }) {
        if (Object.keys(staticPolicies).length === 0) filled.delete(slot);
        else filled.add(slot);
        // As slow as a large set is: the first slice is the end of a turn.
        const until = performance.now() + 20;
        while (performance.now() < until);
        stopping.abort(new Error('it stops'));
        return { type: 'success' };
      },
      statefulIsAuthorized: () => {
        throw new Error('nobody asks');
      },
    };
    await expect(createCedarEngineInTurns(loaded, cedar as never, stopping.signal)).rejects.toThrow('it stops');
    expect(filled.size).toBe(0);
  });
});
