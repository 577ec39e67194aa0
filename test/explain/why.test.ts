import { beforeAll, describe, expect, it } from 'vitest';
import { findCall } from '../../src/audit/find-call.ts';
import { readRecords } from '../../src/audit/read-records.ts';
import { traceCall } from '../../src/audit/trace-call.ts';
import { explanationJson, explanationText } from '../../src/cli/explanation-text.ts';
import { type CallExplanation, explainCall } from '../../src/compose/explain/explain-call.ts';
import { type PolicySource, policiesNow, readFolder } from '../../src/compose/policies/read-in-force.ts';
import type { Task } from '../../src/domain/task.ts';
import { makeOffice, type Office } from './recorded-office.ts';

let office: Office;
let task: Task;
let searching: string;

async function why(id: string, more: { task?: string; agent?: string } = {}): Promise<CallExplanation> {
  const span = await findCall(office.reader, { id, ...more });
  if (span === undefined) throw new Error(`nothing is ${id}`);
  const trace = await traceCall(readRecords(office.reader.read(0)), span);
  if (trace === undefined) throw new Error(`nothing is about ${span}`);
  return explainCall(trace, office.estate, policiesNow(await readFolder(office.policies), office.estate));
}

const said = ({ gates }: CallExplanation): string[] => gates.map(({ gate, said: word }) => `${gate} ${word}`);

const ofFolder: PolicySource = { from: 'folder', folder: '/policies' };

beforeAll(async () => {
  office = await makeOffice();
  task = office.start({ agent: 'payer', groups: ['staff'], tools: ['mail/search', 'mail/send', 'bank/pay'] });
  await office.call(task, 'mail/search', { query: 'bills' });
  searching = (await why('last')).trace.span;
});

describe('remit why', () => {
  it('tells a permitted call from who made it to what it read, gate by gate', async () => {
    const explained = await why(searching);
    expect(said(explained)).toEqual([
      'profile passed',
      'task passed',
      'budget passed',
      'arguments passed',
      'user_policy passed',
      'agent_policy passed',
      'actor_policy does not apply',
      'flow passed',
      'risk passed',
      'external_policy does not apply',
    ]);
    expect(explained.who).toMatchObject({ user: 'https://idp.example#alice', groups: ['staff'], agent: 'payer' });
    expect(explained.gates.find(({ gate }) => gate === 'budget')?.what).toBe('40 of 40 calls were left');
    expect(explained.gates.find(({ gate }) => gate === 'flow')?.what).toBe(
      'nothing read → untrusted, personal, zone internal',
    );
    expect(explained.policies.map(({ id, at }) => [id, at?.replace(/^.*\//, '')])).toEqual([
      ['staff', 'all.cedar:16'],
      ['agents-read', 'all.cedar:6'],
      ['agents-mail', 'all.cedar:10'],
    ]);
    expect(explained.isSameVersion).toBe(true);
    expect(explained.change).toEqual([]);
  });

  it('says which rule of flow held a call, where its value came from, and what would have to change', async () => {
    await office.call(task, 'mail/send', { to: 'eve@evil.example' });
    const explained = await why('last', { task: task.id });
    expect(explained.gates.find(({ gate }) => gate === 'flow')).toMatchObject({ said: 'held' });
    expect(explained.provenance).toEqual([
      expect.stringMatching(/^to: .*\(nowhere\); not good enough, pointed is needed$/),
    ]);
    expect(explained.change[0]).toContain('A person must approve');
    expect(explained.effect).toBe('Nothing was sent.');
    const text = explanationText(explained, undefined, ofFolder);
    expect(text).not.toContain('eve@evil.example');
    expect(text).toContain('remit:provenance');
  });

  it('tells an approved call as one: held, and permitted anew', async () => {
    await office.call(task, 'mail/send', { to: 'bob@shop.example' }, true);
    const { trace, gates } = await why('last');
    expect(trace.decisions.map(({ verdict }) => verdict)).toEqual(['step_up', 'permit']);
    expect(gates.find(({ gate }) => gate === 'flow')?.said).toBe('held');
  });

  it('says of a denial by a policy where it stands, its own next step, and that later gates were not asked', async () => {
    await office.call(task, 'bank/pay', { amount: 950, to: 'vendor' });
    const explained = await why('last');
    expect(said(explained)).toContain('user_policy denied');
    expect(said(explained)).toContain('agent_policy not asked');
    expect(explained.policies.map(({ id, effect }) => [id, effect])).toEqual([
      ['small-amounts', 'forbid'],
      ['payments-are-approved', 'forbid'],
    ]);
    expect(explained.change[0]).toBe('Ask the bank.');
    expect(explained.change[1]).toContain('small-amounts');
  });

  it('writes the policy that is missing where nothing permits a call', async () => {
    const clerk = office.start({ agent: 'clerk' });
    await office.call(clerk, 'bank/pay', { amount: 20, to: 'vendor' });
    const { change } = await why('last', { agent: 'clerk' });
    expect(change.at(-1)).toContain('principal == Remit::Agent::"clerk"');
    expect(change.at(-1)).toContain('action == Remit::Action::"bank/pay"');
  });

  it('says of a call outside its task whether the template would have had room for it', async () => {
    await office.call(task, 'bank/balance');
    expect((await why('last')).change.at(-1)).toContain('The template office includes bank/balance');
    await office.call(task, 'bank/close');
    const { gates, change } = await why('last');
    expect(gates.find(({ gate }) => gate === 'task')?.said).toBe('denied');
    expect(change.at(-1)).toContain('The template office includes bank/close');
  });

  it('finds a call by the start of its id, its trace, its task or its position, and says when that fits several', async () => {
    expect((await why(task.id)).trace.record.task).toBe(task.id);
    expect((await why(task.trace.slice(0, 12))).trace.record.trace).toBe(task.trace);
    expect((await why(searching.slice(0, 16))).trace.span).toBe(searching);
    const { seq } = (await why(searching)).trace.record;
    expect((await why(`#${seq}`)).trace.span).toBe(searching);
    expect(await findCall(office.reader, { id: 'ffff' })).toBeUndefined();
    expect(await findCall(office.reader, { id: 'last', agent: 'nobody' })).toBeUndefined();
    await expect(findCall(office.reader, { id: '0000' })).rejects.toThrow('several calls begin with 0000');
  });

  it('says when other policies are in force by now, and which are gone', async () => {
    const trace = (await why(searching)).trace;
    const explained = explainCall(trace, office.estate, { version: 'sha256:other', policies: [] });
    expect(explained.isSameVersion).toBe(false);
    expect(explained.policies.every(({ at }) => at === undefined)).toBe(true);
    expect(explanationText(explained, undefined, ofFolder)).toContain('the policies folder holds others');
    expect(explainCall(trace, office.estate, undefined).isSameVersion).toBeUndefined();
  });

  it('says of what several nodes have in force that it is that, what the folder here has, and why it could not be read', async () => {
    const explained = await why(searching);
    const shared = { from: 'store', folder: '/policies', by: 'dana, at node n1' } as const;
    const text = (lookedAt: Parameters<typeof explanationText>[2], isSameVersion: boolean | undefined = true) =>
      explanationText({ ...explained, isSameVersion }, undefined, lookedAt);
    expect(text({ ...shared, folderHolds: 'others' })).toMatch(
      /version .*, as is in force now\n {2}policies {6}in force at the nodes of the store, by dana, at node n1; \/policies holds others\n/,
    );
    expect(text({ ...shared, folderHolds: 'the same' }, false)).toMatch(
      /; others are in force now\n.*as \/policies has them/,
    );
    expect(text({ from: 'folder', folder: '/other', isNamed: true })).toMatch(
      /as that folder has it\n.*of \/other, as named/,
    );
    expect(text({ from: 'folder', folder: '/policies', isBeforeFirst: true })).toContain(
      'no gateway has put any in force',
    );
    const problem = { code: 'ERR_STORE_UNREACHABLE', message: 'it is away', where: 'db:5432', hint: 'Start it.' };
    const unread = text({ problem }, undefined);
    expect(unread).toContain('policies      could not be read: it is away (db:5432). Start it.');
    expect(unread).not.toContain('folder');
    expect(explanationJson(explained, undefined, { problem }).policiesLookedAt).toEqual({ problem });
  });
});
