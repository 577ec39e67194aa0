import { describe, expect, it } from 'vitest';
import type { TaskTemplate, TemplateLimits } from '../../src/domain/task.ts';
import { handleMethod } from '../../src/gateway/methods/handle-method.ts';
import { createTaskLimits } from '../../src/gateway/task-limits.ts';
import { asResult, SEARCH, SEND } from '../flow/office.ts';
import {
  type FakeGateway,
  makeClientRequest,
  makeGateway,
  makePrincipal,
  makeTask,
  NOW,
} from '../support/fake-gateway-parts.ts';

/** R75: how fast a task goes and how much passes through it, by its template. */
const task = makeTask('tsk_a', 'helper', 100);
const child = { ...makeTask('tsk_b', 'helper', 100), parent: task.id };

function make(limits: TemplateLimits | undefined) {
  const time = { now: NOW };
  const built = createTaskLimits(
    () => time.now,
    (id) => [task, child].find((one) => one.id === id),
  );
  const result = asResult({ from: 'bob', body: 'x'.repeat(100) });
  const fake = makeGateway({
    tasks: [task, child],
    tools: [SEARCH, SEND],
    limits: built,
    template: () => ({ bounds: { calls: 100 }, limits }) as TaskTemplate,
    reply: async () => ({ result, resultText: JSON.stringify(result) }),
  });
  return { fake, time, built, size: Buffer.byteLength(JSON.stringify(result)) };
}

async function call(fake: FakeGateway, item: typeof SEARCH, args: object = {}, of = task): Promise<string> {
  const caller = { principal: makePrincipal(of), task: of };
  const request = makeClientRequest('tools/call', { name: item.exposedName, arguments: args });
  const { reply, recordOutcome } = await handleMethod(fake.gateway, caller, request);
  recordOutcome?.();
  if (!('refusal' in reply)) return 'ok';
  return reply.refusal.kind === 'denied' ? reply.refusal.decision.policies.join() : reply.refusal.kind;
}

describe('limits of a task', () => {
  it('of calls of one item a minute, with its children’s; of another item it says nothing', async () => {
    const { fake, time } = make({ callsPerMinute: 2 });
    expect(await call(fake, SEARCH)).toBe('ok');
    expect(await call(fake, SEARCH, {}, child)).toBe('ok');
    expect(await call(fake, SEARCH)).toBe('remit:rate');
    expect(await call(fake, SEARCH, {}, child)).toBe('remit:rate');
    expect(await call(fake, SEND)).toBe('ok');
    time.now += 61_000;
    expect(await call(fake, SEARCH)).toBe('ok');
  });

  it('of bytes read: the result that passes it is the last', async () => {
    const { fake, size } = make({ readBytes: 150 });
    expect(size).toBeGreaterThan(75);
    const answers = [];
    for (let at = 0; at < 3; at += 1) answers.push(await call(fake, SEARCH));
    expect(answers.indexOf('remit:volume')).toBe(Math.ceil(150 / size));
    expect(fake.forwarded).toHaveLength(Math.ceil(150 / size));
  });

  it('of bytes that leave: a call that would pass it is not made, a smaller one is; a read carries nothing out', async () => {
    const { fake } = make({ sentBytes: 100 });
    expect(await call(fake, SEND, { body: 'y'.repeat(60) })).toBe('ok');
    expect(await call(fake, SEND, { body: 'y'.repeat(60) })).toBe('remit:volume');
    expect(await call(fake, SEND, { body: 'y' })).toBe('ok');
    expect(await call(fake, SEARCH, { query: 'z'.repeat(200) })).toBe('ok');
  });

  it('a template without any bounds nothing, and what has ended is forgotten', async () => {
    const { fake, built: unbounded } = make(undefined);
    for (let at = 0; at < 5; at += 1) expect(await call(fake, SEARCH)).toBe('ok');
    expect(unbounded.usageOf(task.id), 'no call leaves anything of it behind').toBeUndefined();
    const { fake: other, built } = make({ callsPerMinute: 1 });
    expect(await call(other, SEARCH)).toBe('ok');
    built.forgetTask(task.id);
    expect(await call(other, SEARCH)).toBe('ok');
  });

  it('F8 whoever goes on with a task goes on from what was counted of it', async () => {
    const limits = { callsPerMinute: 2, readBytes: 1_000, sentBytes: 100 };
    const [before, after] = [make(limits), make(limits)];
    expect(await call(before.fake, SEARCH)).toBe('ok');
    before.time.now += 30_000;
    expect(await call(before.fake, SEARCH, {}, child)).toBe('ok');
    expect(await call(before.fake, SEND, { body: 'y'.repeat(60) })).toBe('ok');
    expect(before.built.usageOf(child.id), 'it is of the task at the top').toBeUndefined();
    const usage = JSON.parse(JSON.stringify(before.built.usageOf(task.id)));
    after.built.restore(task.id, usage, limits);
    after.time.now = before.time.now + 10_000;
    expect(await call(after.fake, SEARCH)).toBe('remit:rate');
    expect(await call(after.fake, SEND, { body: 'y'.repeat(60) })).toBe('remit:volume');
    expect(after.built.usageOf(task.id)).toEqual(usage);
    // All of it counts as long as the last of it: never less than it did.
    after.time.now += 40_000;
    expect(await call(after.fake, SEARCH)).toBe('remit:rate');
    after.time.now += 11_000;
    expect(await call(after.fake, SEARCH)).toBe('ok');
    after.built.restore(task.id, { read: 1_000 }, limits);
    expect(await call(after.fake, SEARCH)).toBe('remit:volume');
    after.built.restore(task.id, usage, undefined);
    expect(await call(after.fake, SEARCH), 'a pace that no template has any more is none').toBe('ok');
  });

  it('tells of what is read where that is bounded, and of nothing else', async () => {
    const told: string[] = [];
    const built = createTaskLimits(
      () => NOW,
      (id) => [task, child].find((one) => one.id === id),
      (id) => void told.push(id),
    );
    const operation = { item: SEARCH, argumentsText: '{}', effect: 'call' } as const;
    built.admit(task, { callsPerMinute: 5 }, operation);
    built.read(task, 10);
    expect(told).toEqual([]);
    built.admit(child, { readBytes: 100 }, operation);
    built.read(child, 10);
    expect(told).toEqual([child.id]);
  });

  it('D1 a time that is none allows nothing', async () => {
    const { fake, time } = make({ callsPerMinute: 5 });
    time.now = Number.NaN;
    expect(await call(fake, SEARCH)).toBe('remit:rate');
  });
});
