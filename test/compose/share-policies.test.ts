import { afterEach, describe, expect, it } from 'vitest';
import type { RecordEntry } from '../../src/audit/recorder.ts';
import { openPolicies, type PolicyInForce } from '../../src/compose/policies/policy-in-force.ts';
import { type SharedPolicies, sharePolicies } from '../../src/compose/policies/share-policies.ts';
import { createSystem } from '../../src/compose/system.ts';
import { RemitError } from '../../src/domain/errors.ts';
import type { PolicySetRepository } from '../../src/seams/shared-store.ts';
import { makePolicyFolder, type PolicyFolder, testEstate } from './policy-folder.ts';

const OPEN = '@id("open")\npermit (principal, action, resource);\n';
const CLOSED = '@id("closed")\nforbid (principal, action, resource);\n';
const OLDER = '@id("older")\nforbid (principal, action, resource);\n';
const UNKNOWN_TOOL = '@id("u")\npermit (principal, action == Remit::Action::"shop/nothing", resource);\n';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

type Row = { position: number; digest: string; sealed: string | undefined };

/** What the nodes share: rows, and the key that seals them. */
function fakeShared() {
  const state = { rows: [] as Row[], fault: undefined as Error | undefined };
  const key = Buffer.alloc(32, 7);
  const reach = (): void => {
    if (state.fault !== undefined) throw state.fault;
  };
  const policies: PolicySetRepository = {
    async newest() {
      reach();
      const { position, digest } = state.rows.at(-1) ?? {};
      return position === undefined || digest === undefined ? undefined : { position, digest };
    },
    async read(_tenant, position) {
      reach();
      return state.rows.find((row) => row.position === position)?.sealed;
    },
    had: async (_tenant, digest) => state.rows.some((row) => row.digest === digest),
    async publish(_tenant, set) {
      reach();
      if (state.rows.some(({ position }) => position === set.position)) return false;
      state.rows.push(set);
      return true;
    },
  };
  return { state, policies, key };
}

type Shared = ReturnType<typeof fakeShared>;

interface Node {
  readonly policies: PolicyInForce;
  readonly shared: SharedPolicies;
  readonly folder: PolicyFolder;
  readonly records: RecordEntry[];
  readonly said: string[];
  begin(): Promise<void>;
  /** Has it look, and waits for what comes of it. */
  look(): Promise<void>;
  /** What it does by itself once a second. */
  tick(): Promise<void>;
  fileDigests(): readonly string[];
}

async function startNode(
  common: Shared,
  name: string,
  policy: string,
  options: { readonly policyReload?: 'manual' | 'watch'; readonly key?: Buffer; readonly isBegun?: boolean } = {},
): Promise<Node> {
  const folder = await makePolicyFolder({ 'all.cedar': policy });
  closers.push(() => folder.remove());
  const records: RecordEntry[] = [];
  const said: string[] = [];
  const say = (_fields: object, text: string): void => void said.push(text);
  const timers: (() => void)[] = [];
  const system = {
    ...createSystem({ log: 'silent' }),
    log: { debug() {}, info() {}, warn: say, error: say },
    schedule(_ms: number, work: () => void) {
      timers.push(work);
      return () => {};
    },
  };
  const estate = testEstate();
  const recorder = { record: async (entry: RecordEntry) => records.push(entry) };
  const config = { observe: [], policyReload: options.policyReload ?? 'manual' };
  let shared: SharedPolicies | undefined;
  const policies = await openPolicies({ estate, system, places: { policies: folder.folder }, config }, () => ({
    recorder,
    recordLater: (entry) => records.push(entry),
    wire: { hub: { listChanged: () => {} } },
    observed: { letThrough: undefined, shadow: undefined },
    shared,
  }));
  closers.push(() => policies.close());
  const key = options.key ?? common.key;
  const workspace = {
    node: name,
    estate,
    system,
    config,
    store: { shared: { policies: common.policies } },
    stateKey: async () => key,
  };
  shared = await sharePolicies(workspace as never, { policies, recorder, closers });
  if (shared === undefined) throw new Error('not shared');
  if (options.isBegun !== false) await shared.begin();
  const own = shared;
  return {
    policies,
    shared: own,
    folder,
    records,
    said,
    begin: () => own.begin(),
    async look() {
      own.lookNow();
      // It is over when whatever waits for its turn behind it has had its own.
      await new Promise((resolve) => setImmediate(resolve));
      await policies.takeUp(async () => undefined);
    },
    async tick() {
      for (const work of timers.splice(0)) work();
      await new Promise((resolve) => setImmediate(resolve));
      await new Promise((resolve) => setImmediate(resolve));
    },
    fileDigests: () => policies.current().files.map(({ digest }) => digest),
  };
}

const both = (one: Node, other: Node): readonly [string, string] => [
  one.policies.engine().version,
  other.policies.engine().version,
];

const actions = ({ records }: Node): unknown[] =>
  records.map(({ detail }) => (typeof detail === 'string' ? detail : detail.action));

describe('policies of several nodes', () => {
  it('that have no id of their own are one version at all nodes', async () => {
    const common = fakeShared();
    const [one, other] = [await startNode(common, 'na', OPEN), await startNode(common, 'nb', OPEN)];
    await one.folder.write('all.cedar', 'permit (principal, action, resource);\n');
    const { to } = await one.policies.reload('dana');
    await other.look();
    expect(both(one, other)).toEqual([to, to]);
  });

  it('that one puts in force are in force at the other when it looks, with who did it on its trail', async () => {
    const common = fakeShared();
    const [one, other] = [await startNode(common, 'na', OPEN), await startNode(common, 'nb', OPEN)];
    expect(common.state.rows).toHaveLength(1);
    expect([actions(one), actions(other)]).toEqual([[], []]);
    await one.folder.write('all.cedar', CLOSED);
    const { to } = await one.policies.reload('dana');
    expect(both(one, other)[1]).not.toBe(to);
    await other.look();
    expect(both(one, other)).toEqual([to, to]);
    expect(other.fileDigests()).toEqual(one.fileDigests());
    expect(other.records).toEqual([
      { type: 'administration', detail: expect.objectContaining({ to, by: 'dana, at node na' }) },
    ]);
    await one.look();
    expect(actions(one), 'it has nothing to take up').toEqual(['policy_reload']);
    await other.shared.publish({ texts: other.policies.current().texts, by: 'erin' });
    expect(common.state.rows, 'nor has it to put in force what is').toHaveLength(2);
  });

  it('of two that are put in force at once the later is in force at both', async () => {
    const common = fakeShared();
    const [one, other] = [await startNode(common, 'na', OPEN), await startNode(common, 'nb', OPEN)];
    await one.folder.write('all.cedar', CLOSED);
    await other.folder.write('all.cedar', OLDER);
    await Promise.all([one.policies.reload('dana'), other.policies.reload('erin')]);
    for (let round = 0; round < 2; round += 1) for (const node of [one, other]) await node.look();
    const [here, there] = both(one, other);
    expect(here).toBe(there);
    expect(common.state.rows.map(({ position }) => position)).toEqual([1, 2, 3]);
  });

  it('a node that starts with other policies puts them in force at all, on record', async () => {
    const common = fakeShared();
    const one = await startNode(common, 'na', OPEN);
    const other = await startNode(common, 'nb', CLOSED);
    expect(actions(other)).toEqual(['policies_published']);
    await one.look();
    expect(new Set(both(one, other)).size).toBe(1);
    expect(one.records.at(-1)?.detail).toMatchObject({ action: 'policy_reload', by: 'the start of nb, at node nb' });
  });

  it('one that starts with what was in force before takes those that are: a forgotten folder undoes nothing', async () => {
    const common = fakeShared();
    const one = await startNode(common, 'na', OLDER);
    await one.folder.write('all.cedar', CLOSED);
    const { to } = await one.policies.reload('dana');
    const late = await startNode(common, 'nb', OLDER);
    expect(late.policies.engine().version).toBe(to);
    expect(late.said.join()).toContain('`remit policy reload` puts this one in force at all');
    expect(actions(late)).toEqual(['policy_reload']);
    // Said by a person, it does.
    await late.policies.reload('erin');
    await one.look();
    expect(new Set(both(one, late)).size).toBe(1);
    expect(one.policies.engine().version).not.toBe(to);
  });

  it('where folders are watched the folder counts at the start too: putting it back is a change like any other', async () => {
    const common = fakeShared();
    const one = await startNode(common, 'na', OLDER, { policyReload: 'watch' });
    await one.folder.write('all.cedar', CLOSED);
    await one.policies.reload('whoever');
    const back = await startNode(common, 'nb', OLDER, { policyReload: 'watch' });
    await one.look();
    expect(new Set(both(one, back)).size).toBe(1);
    expect(common.state.rows).toHaveLength(3);
  });

  it('D1 what cannot be valid at a node is not in force there, is told once, and is on its trail', async () => {
    const common = fakeShared();
    const [one, other] = [await startNode(common, 'na', OPEN), await startNode(common, 'nb', OPEN)];
    const before = other.policies.engine().version;
    // As of a node whose remit.yaml has a tool that this one's has not.
    await one.shared.publish({ texts: [{ name: 'all.cedar', path: 'all.cedar', text: UNKNOWN_TOOL }], by: 'dana' });
    await other.look();
    await other.look();
    expect(other.policies.engine().version).toBe(before);
    expect(actions(other)).toEqual(['policy_reload_refused']);
    expect(other.said).toHaveLength(1);
    expect(other.said[0]).toContain('those before stay');
  });

  it('D1 where the store fails nothing is put in force anywhere: one node alone does not decide otherwise', async () => {
    const common = fakeShared();
    const [one, other] = [await startNode(common, 'na', OPEN), await startNode(common, 'nb', OPEN)];
    const [before] = both(one, other);
    await one.folder.write('all.cedar', CLOSED);
    common.state.fault = new RemitError('ERR_STORE_UNREACHABLE', 'no store');
    await expect(one.policies.reload('dana')).rejects.toThrow('no store');
    expect(actions(one)).toEqual(['policy_reload', 'policy_reload_refused']);
    await other.look();
    expect(other.said[0]).toContain('could not be read');
    expect(both(one, other)).toEqual([before, before]);
    common.state.fault = undefined;
    await one.policies.reload('dana');
    await other.look();
    expect(new Set(both(one, other)).size).toBe(1);
    expect(both(one, other)[0]).not.toBe(before);
  });

  it('what the store says is not believed where no node has sealed it, for that position', async () => {
    const common = fakeShared();
    const one = await startNode(common, 'na', OPEN);
    const stranger = await startNode(common, 'nx', OLDER, { key: Buffer.alloc(32, 9), isBegun: false });
    const before = one.policies.engine().version;
    const texts = [{ name: 'all.cedar', path: '', text: OLDER }];
    await stranger.shared.publish({ texts, by: 'nobody' });
    await one.look();
    await one.look();
    expect(one.policies.engine().version).toBe(before);
    expect(one.said).toHaveLength(1);
    // One that is genuine, of another position and for other texts.
    await one.shared.publish({ texts, by: 'dana' });
    const [first] = common.state.rows as [Row];
    common.state.rows.push({ ...first, position: 9, digest: 'sha256:0' });
    await one.look();
    expect(one.policies.engine().version).toBe(before);
    expect(one.said).toHaveLength(2);
  });

  it('a store that was put back and has forgotten what is in force is told again, by whoever sees it first', async () => {
    const common = fakeShared();
    const [one, other] = [await startNode(common, 'na', OPEN), await startNode(common, 'nb', OPEN)];
    await one.folder.write('all.cedar', CLOSED);
    await one.policies.reload('dana');
    await other.look();
    const [inForce] = both(one, other);
    common.state.rows.splice(1);
    await other.look();
    await one.look();
    expect(both(one, other)).toEqual([inForce, inForce]);
    expect(common.state.rows.at(-1)?.position).toBeGreaterThan(2);
    common.state.rows.splice(0);
    await one.look();
    expect(common.state.rows).toHaveLength(1);
  });

  it('a notice that comes while a node starts takes nothing up: the folder that it starts with is news all the same', async () => {
    const common = fakeShared();
    const one = await startNode(common, 'na', OPEN);
    const other = await startNode(common, 'nb', CLOSED, { isBegun: false });
    await other.look();
    expect(actions(other)).toEqual([]);
    await other.begin();
    expect(actions(other)).toEqual(['policies_published']);
    await one.look();
    expect(new Set(both(one, other)).size).toBe(1);
    expect(common.state.rows).toHaveLength(2);
  });

  it.each([
    [
      'cannot be read',
      (state: Shared['state']) => {
        state.fault = new RemitError('ERR_STORE_UNREACHABLE', 'no store');
      },
    ],
    [
      'were altered',
      ({ rows }: Shared['state']) => {
        rows[1] = { ...(rows[1] as Row), sealed: 'AAAA' };
      },
    ],
    [
      'are gone',
      ({ rows }: Shared['state']) => {
        rows[1] = { ...(rows[1] as Row), sealed: undefined };
      },
    ],
  ])('D1 a node whose folder is known to be old does not start with it where those in force %s', async (_, breaks) => {
    const common = fakeShared();
    const one = await startNode(common, 'na', OLDER);
    await one.folder.write('all.cedar', CLOSED);
    await one.policies.reload('dana');
    const late = await startNode(common, 'nb', OLDER, { isBegun: false });
    const read = common.policies.newest;
    let asked = 0;
    common.policies.newest = async (tenant) => {
      const newest = await read(tenant);
      asked += 1;
      if (asked === 1) breaks(common.state);
      return newest;
    };
    await expect(late.begin()).rejects.toThrow();
  });

  it('D1 a store that has forgotten what is in force is not told by a node that could not take it up', async () => {
    const common = fakeShared();
    const [one, other] = [await startNode(common, 'na', OPEN), await startNode(common, 'nb', OPEN)];
    await one.folder.write('all.cedar', CLOSED);
    const { to } = await one.policies.reload('dana');
    // Valid where it was put in force, and not here.
    const takeUp = other.policies.takeUp;
    other.policies.takeUp = (find) =>
      takeUp(
        find &&
          (async () => {
            const given = await find();
            return given && { ...given, texts: given.texts.map((text) => ({ ...text, text: UNKNOWN_TOOL })) };
          }),
      );
    await other.look();
    expect(actions(other)).toEqual(['policy_reload_refused']);
    common.state.rows.splice(0);
    await other.look();
    await other.look();
    expect(common.state.rows).toEqual([]);
    expect(other.said).toHaveLength(2);
    await one.look();
    expect(common.state.rows).toHaveLength(1);
    other.policies.takeUp = takeUp;
    await other.look();
    expect(both(one, other)).toEqual([to, to]);
  });

  it('an outage of the store is said once, however often it is looked', async () => {
    const common = fakeShared();
    const one = await startNode(common, 'na', OPEN);
    for (let outage = 1; outage <= 2; outage += 1) {
      common.state.fault = new RemitError('ERR_STORE_UNREACHABLE', 'no store');
      for (let looks = 0; looks < 3; looks += 1) await one.look();
      expect(one.said).toHaveLength(outage);
      common.state.fault = undefined;
      await one.look();
    }
  });

  it('what cannot be put in force for now is tried ever more seldom, and in time again once it could be', async () => {
    const common = fakeShared();
    const [one, other] = [await startNode(common, 'na', OPEN), await startNode(common, 'nb', OPEN)];
    const { takeUp } = other.policies;
    let tries = 0;
    await one.folder.write('all.cedar', CLOSED);
    await one.policies.reload('dana');
    const fails: typeof takeUp = async (find) => {
      tries += 1;
      await find();
      throw new Error('no memory');
    };
    other.policies.takeUp = fails;
    for (let second = 0; second < 9; second += 1) await other.tick();
    expect(tries, 'two are left out after the first, and four after the second').toBe(3);
    other.policies.takeUp = takeUp;
    for (let second = 0; second < 9; second += 1) await other.tick();
    await other.look();
    expect(new Set(both(one, other)).size).toBe(1);
    await one.folder.write('all.cedar', OLDER);
    await one.policies.reload('dana');
    tries = 0;
    other.policies.takeUp = fails;
    for (let second = 0; second < 4; second += 1) await other.tick();
    expect(tries, 'it begins anew').toBe(2);
  });

  it('a folder that was written anew and holds what it held undoes nothing that another node put in force since', async () => {
    const common = fakeShared();
    const watched = { policyReload: 'watch' } as const;
    const [one, other] = [await startNode(common, 'na', OPEN, watched), await startNode(common, 'nb', OPEN, watched)];
    await one.folder.write('all.cedar', CLOSED);
    const { to } = await one.policies.follow('whoever');
    await other.look();
    await other.policies.follow('whoever');
    await one.look();
    expect(both(one, other)).toEqual([to, to]);
    // Changed there as well, and put back: that is a change.
    await other.folder.write('all.cedar', CLOSED);
    await other.policies.follow('whoever');
    await other.folder.write('all.cedar', OPEN);
    const { to: back } = await other.policies.follow('whoever');
    await one.look();
    expect(both(one, other)).toEqual([back, back]);
    expect(back).not.toBe(to);
  });
});
