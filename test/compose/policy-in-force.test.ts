import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { verifyJournal } from '../../src/adapters/journal/verify-journal.ts';
import type { RecordEntry } from '../../src/audit/recorder.ts';
import { openPolicies, type PolicyInForce } from '../../src/compose/policies/policy-in-force.ts';
import { createSystem } from '../../src/compose/system.ts';
import { NO_LABELS } from '../../src/domain/flow.ts';
import { agentId, connectorId, toolRef } from '../../src/domain/ids.ts';
import { createDecider } from '../../src/policy/decide.ts';
import type { PolicyEngine } from '../../src/seams/policy-engine.ts';
import { makeFolder, readAll, removeFolder } from '../journal/journal-fixture.ts';
import { samplePrincipal, sampleRequest, sampleTask, sampleTemplate, sampleTool } from '../policy/samples.ts';
import { makePolicyFolder, type PolicyFolder, testEstate } from './policy-folder.ts';

const OPEN = '@id("open")\npermit (principal, action, resource);\n';
const CLOSED = '@id("closed")\nforbid (principal, action, resource);\n';
const CASES = `cases:
  - { name: the helper reads, agent: helper, tool: shop/find, arguments: { text: x }, expect: permit }
`;

const STOPPING = { code: 'ERR_GATEWAY_UNREACHABLE', message: expect.stringContaining('the gateway stops') };

let place: PolicyFolder | undefined;
afterEach(() => place?.remove());

interface Opened {
  readonly policies: PolicyInForce;
  readonly records: RecordEntry[];
  readonly listed: string[];
  /** What waits for its time. */
  readonly later: (() => void)[];
  ask(): string;
  fail(error: Error | undefined): void;
  /** Runs before a record is durable. */
  during(work: () => void): void;
}

async function open(files: Readonly<Record<string, string>> = { 'all.cedar': OPEN }): Promise<Opened> {
  place = await makePolicyFolder(files);
  const estate = testEstate();
  const records: RecordEntry[] = [];
  const listed: string[] = [];
  const later: (() => void)[] = [];
  let fault: Error | undefined;
  let meanwhile = (): void => {};
  const system = {
    ...createSystem({ log: 'silent' }),
    schedule: (_: number, work: () => void) => {
      later.push(work);
      return () => {};
    },
  };
  const record = async (entry: RecordEntry): Promise<number> => {
    meanwhile();
    if (fault !== undefined) throw fault;
    return records.push(entry);
  };
  const policies = await openPolicies(
    { estate, system, places: { policies: place.folder }, config: { observe: [] } },
    () => ({
      recorder: { record },
      recordLater: (entry) => records.push(entry),
      wire: { hub: { listChanged: (id, kind) => listed.push(`${id} ${kind}`) } },
      observed: { letThrough: undefined, shadow: undefined },
    }),
  );
  const profile = estate.connectors.get(connectorId('shop'))?.profiles.get('find');
  if (profile === undefined) throw new Error('no profile');
  const request = sampleRequest(toolRef(connectorId('shop_db'), 'query'));
  const asked = {
    ...request,
    subject: { kind: 'agent' as const, id: 'helper', groups: [] },
    resource: { connector: connectorId('shop'), tool: toolRef(connectorId('shop'), 'find'), profile },
    context: { ...request.context, arguments: { text: 'x' } },
  };
  return {
    policies,
    records,
    listed,
    later,
    ask: () => policies.engine().evaluate(asked).verdict,
    fail: (error) => {
      fault = error;
    },
    during: (work) => {
      meanwhile = work;
    },
  };
}

describe('a reload', () => {
  it('puts a valid set in force, on the record before it decides anything, and an answer that was kept is gone', async () => {
    const { policies, records, listed, ask, during } = await open();
    const before = policies.engine();
    expect([ask(), ask()]).toEqual(['permit', 'permit']);
    await place?.write('all.cedar', CLOSED);
    const seen: string[] = [];
    during(() => seen.push(ask()));
    const done = await policies.reload('dana');
    expect(seen).toEqual(['permit']);
    expect(done).toMatchObject({ from: before.version, to: policies.engine().version, policies: 1, cases: 0 });
    expect(done.from).not.toBe(done.to);
    expect(ask()).toBe('deny');
    expect(records).toEqual([
      {
        type: 'administration',
        detail: {
          action: 'policy_reload',
          from: done.from,
          to: done.to,
          policies: 1,
          cases: 0,
          files: [{ file: 'all.cedar', digest: expect.stringMatching(/^sha256:[0-9a-f]{64}$/) }],
          by: 'dana',
        },
      },
    ]);
    expect(listed).toEqual(['shop tools', 'shop prompts', 'shop resources']);
  });

  it('that changes nothing that decides is no new version and no record', async () => {
    const { policies, records } = await open();
    await place?.write('more.cases.yaml', CASES);
    const done = await policies.reload('dana');
    expect(done.to).toBe(done.from);
    expect(done.cases).toBe(1);
    expect(records).toEqual([]);
  });

  it.each([
    ['a broken file', { 'all.cedar': 'permit (principal, action, resource' }, 'all.cedar:1:'],
    [
      'a tool that nobody described',
      { 'all.cedar': 'forbid (principal, action == Remit::Action::"shop/pey", resource);' },
      'all.cedar:1:',
    ],
    ['a failing case', { 'all.cedar': CLOSED, 'all.cases.yaml': CASES }, 'all.cases.yaml:2'],
    ['a broken case file', { 'all.cedar': CLOSED, 'all.cases.yaml': 'cases: no' }, 'all.cases.yaml:1:1'],
  ])('D1 of %s keeps the set before in force, says where, and is on the trail', async (_, files, where) => {
    const { policies, records, listed, ask } = await open();
    const before = policies.engine();
    for (const [name, text] of Object.entries(files)) await place?.write(name, text);
    await expect(policies.reload('dana')).rejects.toMatchObject({
      code: 'ERR_POLICY_INVALID',
      where: expect.stringContaining(where),
      hint: expect.stringMatching(/^Mend /),
    });
    expect(policies.engine()).toBe(before);
    expect(ask()).toBe('permit');
    expect(listed).toEqual([]);
    expect(records.map(({ detail }) => detail)).toEqual([
      {
        action: 'policy_reload_refused',
        inForce: before.version,
        code: 'ERR_POLICY_INVALID',
        where: expect.stringContaining(where),
        by: 'dana',
      },
    ]);
  });

  it('A1 that the journal cannot record is not made', async () => {
    const { policies, ask, fail } = await open();
    const before = policies.engine();
    await place?.write('all.cedar', CLOSED);
    fail(new Error('the disk is full'));
    await expect(policies.reload('dana')).rejects.toThrow('the disk is full');
    expect(policies.engine()).toBe(before);
    expect(ask()).toBe('permit');
    fail(undefined);
    await policies.reload('dana');
    expect(ask()).toBe('deny');
  });

  it('a folder that is gone keeps the set before in force', async () => {
    const { policies, ask } = await open();
    await place?.remove();
    await expect(policies.reload('dana')).rejects.toMatchObject({ code: 'ERR_CONFIG_MISSING' });
    expect(ask()).toBe('permit');
  });

  it('and one more at the same time come one after the other: the trail tells the order', async () => {
    const { policies, records } = await open();
    await place?.write('all.cedar', CLOSED);
    const [first, second] = await Promise.all([policies.reload('dana'), policies.reload('erin')]);
    expect(first.to).not.toBe(first.from);
    expect(second).toMatchObject({ from: first.to, to: first.to });
    expect(records).toHaveLength(1);
  });

  it('a decision that is under way is judged by one version throughout; the engine before is given back later', async () => {
    const { policies, later } = await open();
    const before = policies.engine();
    let resume = (): void => {};
    const answered = new Promise<void>((resolve) => {
      resume = resolve;
    });
    // The first link is judged far away: time enough for a reload.
    const slowly = (engine: PolicyEngine): PolicyEngine => ({
      version: engine.version,
      async evaluate(request) {
        await answered;
        return engine.evaluate(request);
      },
    });
    const profile = testEstate().connectors.get(connectorId('shop'))?.profiles.get('find');
    const ref = toolRef(connectorId('shop'), 'find');
    const task = sampleTask({ agent: agentId('helper'), bounds: { ...sampleTask().bounds, tools: ['shop/*'] } });
    const decider = createDecider({
      engine: () => slowly(policies.engine()),
      environment: 'test',
      labelsOf: () => NO_LABELS,
      clock: () => task.startedAt,
    });
    const decision = decider.decideCall({
      principal: samplePrincipal({ agent: agentId('helper'), actors: [agentId('clerk')] }),
      task,
      template: sampleTemplate({ agents: [agentId('helper')], bounds: task.bounds }),
      tool: sampleTool(ref, { profile }),
      args: { text: 'x' },
      callsLeft: 1,
    });
    await place?.write('all.cedar', CLOSED);
    await policies.reload('dana');
    resume();
    expect(await decision).toMatchObject({ verdict: 'permit', policyVersion: before.version });
    expect(later).toHaveLength(1);
    later[0]?.();
    expect(
      before.evaluate(
        sampleRequest(ref, { resource: { connector: connectorId('shop'), tool: ref, profile: profile as never } }),
      ),
    ).toMatchObject({ verdict: 'deny' });
  });
});

it('D1 nothing starts with policies whose cases do not hold', async () => {
  await expect(open({ 'all.cedar': CLOSED, 'all.cases.yaml': CASES })).rejects.toMatchObject({
    code: 'ERR_POLICY_INVALID',
    where: expect.stringContaining('all.cases.yaml:2'),
  });
});

it('a reload that is under way when the gateway stops changes nothing, is on no trail, and is told; no other begins', async () => {
  const { policies, records } = await open();
  const before = policies.engine().version;
  await place?.write('all.cedar', CLOSED);
  const [one, other] = [policies.reload('dana'), policies.reload('eve')];
  const told = Promise.all([one, other].map((reload) => expect(reload).rejects.toMatchObject(STOPPING)));
  await policies.close();
  await told;
  await expect(policies.reload('dana')).rejects.toMatchObject(STOPPING);
  expect(policies.engine().version).toBe(before);
  expect(records).toEqual([]);
});

it.each([
  ['before', 0],
  ['behind', 1],
])(
  'kill −9 %s the record of a reload: nothing was judged by what the trail does not name, and the next start reads the folder',
  async (stop, records) => {
    place = await makePolicyFolder({ 'all.cedar': OPEN });
    const journal = await makeFolder();
    const script = fileURLToPath(new URL('reload-and-wait.ts', import.meta.url));
    const child = spawn(process.execPath, ['--import', 'tsx', script, place.folder, journal, stop], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const closed = once(child, 'close');
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    child.kill('SIGKILL');
    await closed;
    const system = createSystem({ log: 'silent' });
    const next = await openPolicies(
      { estate: testEstate(), system, places: { policies: place.folder }, config: { observe: [] } },
      () => {
        throw new Error('nothing is told at the start');
      },
    );
    const decided = line.toString().trim();
    expect(next.engine().version).not.toBe(decided);
    expect(await verifyJournal(journal)).toMatchObject({ ok: true, size: records });
    for (const payload of await readAll(journal)) {
      expect(JSON.parse(payload.toString())).toMatchObject({ from: decided, to: next.engine().version });
    }
    await removeFolder(journal);
  },
);
