import { describe, expect, it } from 'vitest';
import type { Task } from '../../src/domain/task.ts';
import { createStoredLabels } from '../../src/flow/stored-labels.ts';
import { handleMethod } from '../../src/gateway/methods/handle-method.ts';
import type { StoredMarkRepository } from '../../src/seams/store.ts';
import { asResult, newFlow, SEARCH, tool, untrusted } from '../flow/office.ts';
import { type FakeGateway, makeClientRequest, makeGateway, NOW, TENANT } from '../support/fake-gateway-parts.ts';
import { createMemoryStoredMarks } from '../support/fake-memory-repositories.ts';

const WRITE = tool(
  'write-page',
  { source: { ...untrusted, trust: 'trusted' }, sink: 'internal', resource: { page: 'page' } },
  { actionClass: 'write' },
);

function office(keep: StoredMarkRepository['keep']): FakeGateway {
  const stored = createStoredLabels({
    tenant: TENANT,
    repository: { ...createMemoryStoredMarks(), keep },
    fingerprint: (text) => text,
    clock: () => NOW,
    thingMs: 1_000,
    connectorMs: 1_000,
    marks: [],
  });
  const result = asResult('something');
  return makeGateway({
    tools: [SEARCH, WRITE],
    flow: newFlow([], { stored }),
    reply: async () => ({ result, resultText: JSON.stringify(result) }),
  });
}

const call = (fake: FakeGateway, item: { readonly exposedName: string }) =>
  handleMethod(
    fake.gateway,
    fake.caller([...fake.tasks.values()][0] as Task),
    makeClientRequest('tools/call', { name: item.exposedName, arguments: { page: 'team' } }),
  );

describe('a mark on what a call stores', () => {
  it('is durable before the call is forwarded, and before its intent', async () => {
    let makeDurable = (): void => {};
    const fake = office(
      () =>
        new Promise<void>((resolve) => {
          makeDurable = resolve;
        }),
    );
    await call(fake, SEARCH);
    const writing = call(fake, WRITE);
    await new Promise((resolve) => setImmediate(resolve));
    expect(fake.forwarded).toHaveLength(1);
    expect(fake.events.filter((event) => event === 'record:decision')).toHaveLength(1);
    makeDurable();
    await writing;
    expect(fake.forwarded).toHaveLength(2);
  });

  it('D1 that the store cannot keep denies the call, on record; nothing is forwarded', async () => {
    const fake = office(() => Promise.reject(new Error('the store is full')));
    await call(fake, SEARCH);
    const { reply } = await call(fake, WRITE);
    expect(reply).toMatchObject({
      refusal: { kind: 'denied', decision: { verdict: 'deny', gate: 'flow', policies: ['remit:unmarked'] } },
    });
    expect(fake.forwarded).toHaveLength(1);
    expect(fake.records.filter(({ type }) => type === 'decision')[1]).toMatchObject({ detail: { verdict: 'deny' } });
    expect(fake.records.filter(({ type }) => type === 'decision')[1]?.permits).toBeUndefined();
    // Nor the next time.
    await call(fake, WRITE);
    expect(fake.forwarded).toHaveLength(1);
  });

  it('is asked of no call of a task that has read nothing', async () => {
    const fake = office(() => Promise.reject(new Error('the store is full')));
    await call(fake, WRITE);
    expect(fake.forwarded).toHaveLength(1);
  });
});
