import { afterEach, describe, expect, it } from 'vitest';
import { followPolicies } from '../../src/compose/policies/watch-policies.ts';
import { createSystem } from '../../src/compose/system.ts';
import { RemitError } from '../../src/domain/errors.ts';
import { makePolicyFolder, type PolicyFolder } from './policy-folder.ts';

const OPEN = '@id("open")\npermit (principal, action, resource);\n';

let place: PolicyFolder | undefined;
afterEach(() => place?.remove());

/** A watched folder that is looked at when the test says so. */
async function watch() {
  const made = await makePolicyFolder({ 'all.cedar': OPEN });
  place = made;
  const state = { fault: undefined as Error | undefined, tries: 0 };
  let due = (): void => {};
  let isAgain = (): void => {};
  const system = {
    ...createSystem({ log: 'silent' }),
    schedule(_ms: number, work: () => void) {
      due = work;
      isAgain();
      return () => {};
    },
  };
  followPolicies(
    { config: { policyReload: 'watch' }, places: { policies: made.folder }, system },
    {
      async follow() {
        state.tries += 1;
        if (state.fault !== undefined) throw state.fault;
        return { from: '', to: '', policies: 1, cases: 0 };
      },
    },
  );
  const look = async (times: number): Promise<void> => {
    for (let looks = 0; looks < times; looks += 1) {
      const again = new Promise<void>((resolve) => {
        isAgain = resolve;
      });
      due();
      await again;
    }
  };
  return { folder: made, state, look };
}

describe('a watched folder of policies', () => {
  it('D1 a change that the store would not have is tried again until it has it, less and less often', async () => {
    const { state, look } = await watch();
    state.fault = new RemitError('ERR_STORE_UNREACHABLE', 'no store');
    await look(2);
    expect(state.tries).toBe(1);
    await look(3);
    expect(state.tries).toBe(2);
    await look(60);
    expect(state.tries).toBeLessThan(8);
    state.fault = undefined;
    await look(61);
    const { tries } = state;
    await look(61);
    expect(state.tries, 'it is in force').toBe(tries);
  });

  it('what is refused for what it says is tried again when it has changed, and at once', async () => {
    const { folder, state, look } = await watch();
    state.fault = new RemitError('ERR_POLICY_INVALID', 'a failing case');
    await look(20);
    expect(state.tries).toBe(1);
    await folder.write('all.cedar', `${OPEN}\n`);
    await look(2);
    expect(state.tries).toBe(2);
  });
});
