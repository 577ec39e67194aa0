import { afterEach, describe, expect, it } from 'vitest';
import { freshCedar } from '../../src/adapters/policy/cedar.ts';
import type { RecordEntry } from '../../src/audit/recorder.ts';
import { describedItem } from '../../src/compose/connectors/described-items.ts';
import { openPolicies } from '../../src/compose/policies/policy-in-force.ts';
import { createSystem } from '../../src/compose/system.ts';
import { NO_LABELS } from '../../src/domain/flow.ts';
import { agentId, connectorId, taskId, templateId, toolRef } from '../../src/domain/ids.ts';
import { createDecider } from '../../src/policy/decide.ts';
import { withShadow } from '../../src/policy/shadow.ts';
import { samplePrincipal, sampleTask } from '../policy/samples.ts';
import { makePolicyFolder, type PolicyFolder, testEstate } from './policy-folder.ts';

const OPEN = '@id("open")\npermit (principal, action, resource);\n';
const CLOSED = `${OPEN}@id("closed")\nforbid (principal, action, resource);\n`;
const NOW = Date.parse('2027-01-01T00:00:00Z');
const IN_A_DAY = '2027-01-02T00:00:00.000Z';

const folders: PolicyFolder[] = [];
afterEach(() => Promise.all(folders.splice(0).map((folder) => folder.remove())));

async function open(observe: { agent: string; until: string; owner: string; reason: string }[] = []) {
  const folderOf = async (text: string): Promise<PolicyFolder> => {
    const made = await makePolicyFolder({ 'all.cedar': text });
    folders.push(made);
    return made;
  };
  const estate = testEstate();
  const records: RecordEntry[] = [];
  const timers: { at: number; work: () => void }[] = [];
  const counted: string[] = [];
  let now = NOW;
  let fault: Error | undefined;
  const system = {
    ...createSystem({ log: 'silent' }),
    clock: () => now,
    schedule: (ms: number, work: () => void) => {
      const timer = { at: now + ms, work };
      timers.push(timer);
      return () => {
        timers.splice(timers.indexOf(timer), 1);
      };
    },
  };
  const record = async (entry: RecordEntry): Promise<number> => {
    if (fault !== undefined) throw fault;
    return records.push(entry);
  };
  const { folder } = await folderOf(observe.length > 0 ? CLOSED : OPEN);
  const policies = await openPolicies({ estate, system, places: { policies: folder }, config: { observe } }, () => ({
    recorder: { record },
    recordLater: (entry) => records.push(entry),
    wire: { hub: { listChanged: () => {} } },
    observed: {
      letThrough: (of, id) => counted.push(`observed ${of} ${id}`),
      shadow: (result) => counted.push(`shadow ${result}`),
    },
  }));
  const labelsOf = () => NO_LABELS;
  const { engine, observer, shadow } = policies;
  const decider = withShadow(
    createDecider({ engine, environment: 'test', labelsOf, clock: () => now, observer }),
    shadow,
    labelsOf,
  );
  const work = estate.templates.get(templateId('work'));
  const tool = describedItem(estate, toolRef(connectorId('shop'), 'find'));
  if (work === undefined || tool === undefined) throw new Error('no such item');
  const template = { ...work, maxDurationSeconds: 30 * 86_400 };
  const task = {
    ...sampleTask(),
    id: taskId('tsk_a'),
    agent: agentId('helper'),
    template: template.id,
    bounds: template.bounds,
    startedAt: NOW,
    expiresAt: NOW + 30 * 86_400_000,
  };
  const principal = {
    ...samplePrincipal(),
    agent: task.agent,
    task: task.id,
    tenant: task.tenant,
    user: undefined,
    actors: [],
  };
  return {
    policies,
    records,
    counted,
    folderOf,
    call: () =>
      decider.decideCall({ principal, task, template, tool, args: { text: 'x' }, callsLeft: 5, span: 'aa'.repeat(8) }),
    /** Time goes on, and what waited for it happens. */
    async goOn(ms: number) {
      now += ms;
      for (let due = timers.find(({ at }) => at <= now); due !== undefined; due = timers.find(({ at }) => at <= now)) {
        timers.splice(timers.indexOf(due), 1);
        due.work();
      }
      // What a timer began has its turn.
      await new Promise((resolve) => setImmediate(resolve));
    },
    fail: (error: Error | undefined) => {
      fault = error;
    },
  };
}

const detailsOf = (records: readonly RecordEntry[]) =>
  records.map(({ type, detail }) => ({ type, ...(detail as object) }));

describe('policies that are tried', () => {
  it('are on the trail before, while and after; what differs names the call, and metrics count', async () => {
    const { policies, records, counted, folderOf, call, goOn } = await open();
    const { folder } = await folderOf(CLOSED);
    const begun = await policies.shadow.begin(folder, IN_A_DAY, 'dana');
    expect(begun).toMatchObject({ folder, by: 'dana', until: IN_A_DAY, counts: { same: 0, differing: 0 } });
    expect(begun.version).not.toBe(policies.engine().version);
    expect(await call()).toMatchObject({ verdict: 'permit', policies: ['open'] });
    await goOn(10);
    expect(counted).toEqual(['shadow differing']);
    expect(await policies.shadow.end('enough')).toMatchObject({ counts: { differing: 1 }, changes: [{ to: 'deny' }] });
    expect(policies.shadow.status()).toBeUndefined();
    expect(detailsOf(records)).toMatchObject([
      { type: 'administration', action: 'policy_shadow', by: 'dana', version: begun.version, until: IN_A_DAY },
      { type: 'shadow', version: begun.version, from: 'permit', to: 'deny', by: ['closed'] },
      { type: 'administration', action: 'policy_shadow_ended', why: 'enough', counts: { differing: 1 } },
    ]);
    expect(records[1]).toMatchObject({ task: 'tsk_a', span: 'aa'.repeat(8), agent: 'helper', tool: 'shop/find' });
  });

  it('end when their time is over, and are asked nothing then', async () => {
    const { policies, records, folderOf, call, goOn } = await open();
    await policies.shadow.begin((await folderOf(CLOSED)).folder, IN_A_DAY, 'dana');
    await goOn(86_400_000);
    expect(policies.shadow.run).toBeUndefined();
    expect(detailsOf(records).at(-1)).toMatchObject({ action: 'policy_shadow_ended', why: 'its time is over' });
    expect(await call()).toMatchObject({ verdict: 'permit' });
    await goOn(10);
    expect(records.filter(({ type }) => type === 'shadow')).toEqual([]);
  });

  it.each(['2027-01-01T00:00:00Z', '2027-01-16T00:00:00Z', 'tomorrow'])(
    'are refused without an end in sight: %s',
    async (until) => {
      const { policies, records, folderOf } = await open();
      const { folder } = await folderOf(CLOSED);
      await expect(policies.shadow.begin(folder, until, 'dana')).rejects.toMatchObject({ code: 'ERR_USAGE' });
      expect(records).toEqual([]);
    },
  );

  it('are not tried where they are invalid or the trail cannot say so; what was tried goes on', async () => {
    const { policies, folderOf, fail } = await open();
    const first = await policies.shadow.begin((await folderOf(CLOSED)).folder, IN_A_DAY, 'dana');
    const wrong = await folderOf('permit (principal, action == Remit::Action::"fly", resource);');
    await expect(policies.shadow.begin(wrong.folder, IN_A_DAY, 'dana')).rejects.toMatchObject({
      code: 'ERR_POLICY_INVALID',
    });
    fail(new Error('the log is full'));
    const other = await folderOf(OPEN);
    await expect(policies.shadow.begin(other.folder, IN_A_DAY, 'dana')).rejects.toThrow('the log is full');
    expect(policies.shadow.status()).toMatchObject({ version: first.version });
  });

  it('decide in an instance of Cedar that no other policies use', () => {
    const [one, other] = [freshCedar(), freshCedar()];
    expect(one.statefulIsAuthorized).not.toBe(other.statefulIsAuthorized);
    const set = { staticPolicies: OPEN, templates: {}, templateLinks: [] };
    const question = {
      principal: { type: 'A', id: 'a' },
      action: { type: 'Action', id: 'a' },
      resource: { type: 'A', id: 'a' },
      context: {},
      entities: [],
      preparsedPolicySetId: 'only-there',
    };
    expect(one.preparsePolicySet('only-there', set)).toMatchObject({ type: 'success' });
    expect(one.statefulIsAuthorized(question)).toMatchObject({ type: 'success' });
    expect(other.statefulIsAuthorized(question)).toMatchObject({ type: 'failure' });
  });
});

describe('policies that are only observed', () => {
  it('are counted call by call, and bind again when their time is over, which is on the trail', async () => {
    const until = '2027-01-01T01:00:00.000Z';
    const { records, counted, call, goOn } = await open([{ agent: 'helper', until, owner: 'dana', reason: 'trial' }]);
    expect(await call()).toMatchObject({ verdict: 'permit', wouldDeny: { policies: ['closed'] } });
    expect(await call()).toMatchObject({ verdict: 'permit' });
    expect(counted).toEqual(['observed agent helper', 'observed agent helper']);
    await goOn(3_600_000);
    expect(await call()).toMatchObject({ verdict: 'deny', policies: ['closed'] });
    expect(counted).toHaveLength(2);
    expect(detailsOf(records)).toEqual([
      { type: 'administration', action: 'observation_ended', of: 'agent', id: 'helper', until, calls: 2 },
    ]);
  });
});
