import { describe, expect, it } from 'vitest';
import { RemitError } from '../../src/domain/errors.ts';
import { traceId } from '../../src/domain/ids.ts';
import { refuse } from '../../src/domain/refusal.ts';
import { Secret } from '../../src/domain/secret.ts';
import type { Task } from '../../src/domain/task.ts';
import type { ClientRequest } from '../../src/gateway/client-request.ts';
import { handleMethod } from '../../src/gateway/methods/handle-method.ts';
import { createHeldLease, type HeldLease } from '../../src/leases/held-lease.ts';
import {
  decision,
  type FakeGateway,
  heldLease,
  makeClientRequest,
  makeGateway,
  makePrincipal,
  makeTask,
  makeTool,
} from '../support/fake-gateway-parts.ts';

function call(name = 'shop__orders', args: Record<string, unknown> = { id: 1 }): ClientRequest {
  return makeClientRequest('tools/call', { name, arguments: args });
}

async function list(fake: FakeGateway): Promise<{ tools: { name: string }[]; _meta: Record<string, unknown> }> {
  const { reply } = await handleMethod(fake.gateway, caller(fake), makeClientRequest('tools/list'));
  if (!('resultText' in reply)) throw new Error('no list');
  return JSON.parse(reply.resultText);
}

function caller(fake: FakeGateway, task: Task = [...fake.tasks.values()][0] as Task) {
  return { principal: makePrincipal(task), task };
}

const wait = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const NOT_A_MEMBER = {
  kind: 'unavailable',
  code: 'ERR_STORE_UNREACHABLE',
  reason: 'no member',
  nextStep: '',
  isForwarded: false,
} as const;

describe('one governed call', () => {
  it('A1 nothing is forwarded, and no credential asked for, before the decision record is durable', async () => {
    let makeDurable = (): void => {};
    const durable = new Promise<void>((resolve) => {
      makeDurable = resolve;
    });
    const fake = makeGateway({ record: () => durable });
    const governed = handleMethod(fake.gateway, caller(fake), call());
    await wait();
    expect(fake.events).toEqual([]);
    makeDurable();
    const { recordOutcome } = await governed;
    recordOutcome?.();
    expect(fake.events).toEqual([
      'record:decision',
      'record:credential_used',
      'open:tsk_a',
      'request',
      'record:outcome',
    ]);
  });

  it('A1 a log that cannot be written means refusal: nothing is forwarded', async () => {
    const fake = makeGateway({ record: () => Promise.reject(new RemitError('ERR_JOURNAL_FULL', 'no space')) });
    await expect(handleMethod(fake.gateway, caller(fake), call())).rejects.toMatchObject({
      code: 'ERR_JOURNAL_FULL',
    });
    expect(fake.events).toEqual([]);
    expect(fake.forwarded).toEqual([]);
  });

  it('A1 among several nodes a call goes on when what it leaves behind is kept, and not at all where that is refused', async () => {
    const order: string[] = [];
    const answers = [
      undefined,
      refuse({ kind: 'unavailable', code: 'ERR_STORE_UNREACHABLE', reason: 'moved', nextStep: '', isForwarded: false }),
    ];
    const fake = makeGateway({
      async record(entry) {
        order.push(String(entry.type));
      },
      memory: {
        async keep(task) {
          order.push(`keep ${task}`);
          return answers.shift();
        },
        confirm: () => undefined,
      },
    });
    await handleMethod(fake.gateway, caller(fake), call());
    expect(order.slice(0, 2)).toEqual(['decision', 'keep tsk_a']);
    expect(fake.forwarded).toHaveLength(1);
    const { reply, recordOutcome } = await handleMethod(fake.gateway, caller(fake), call());
    recordOutcome?.();
    expect(reply).toMatchObject({ refusal: { reason: 'moved' } });
    expect(fake.forwarded).toHaveLength(1);
    expect(fake.records.at(-1)).toMatchObject({ type: 'outcome', detail: { status: 'not_forwarded' } });
    const denied = makeGateway({
      decideCall: () => decision('deny'),
      memory: { keep: async () => answers[9], confirm: () => answers[9] },
    });
    await handleMethod(denied.gateway, caller(denied), call());
    expect(denied.events).toEqual(['record:decision']);
  });

  it('A1 among several nodes record and memory are written side by side, and a call goes on when both are durable', async () => {
    for (const last of ['record', 'memory'] as const) {
      const begun: string[] = [];
      const finish = { record: (): void => {}, memory: (): void => {} };
      const pending = (name: keyof typeof finish): Promise<undefined> => {
        begun.push(name);
        return new Promise((resolve) => {
          finish[name] = () => resolve(undefined);
        });
      };
      const fake = makeGateway({
        record: ({ type }) => (type === 'decision' ? pending('record') : Promise.resolve()),
        memory: { keep: () => pending('memory'), confirm: () => undefined },
      });
      const answering = handleMethod(fake.gateway, caller(fake), call());
      await new Promise((resolve) => setImmediate(resolve));
      expect(begun).toEqual(['record', 'memory']);
      finish[last === 'record' ? 'memory' : 'record']();
      await new Promise((resolve) => setImmediate(resolve));
      expect(fake.forwarded, `before the ${last} is durable`).toEqual([]);
      finish[last]();
      await answering;
      expect(fake.forwarded).toHaveLength(1);
    }
  });

  it('D1 among several nodes one that stopped being a member while the record was written sends nothing, had the store all of it or not', async () => {
    for (const kept of [undefined, Promise.resolve(undefined)]) {
      let isMember = true;
      const fake = makeGateway({
        async record({ type }) {
          if (type === 'decision') isMember = false;
        },
        memory: {
          keep: () => kept,
          confirm: () => (isMember ? undefined : refuse(NOT_A_MEMBER)),
        },
      });
      const { reply } = await handleMethod(fake.gateway, caller(fake), call());
      expect(reply).toMatchObject({ refusal: NOT_A_MEMBER });
      expect(fake.forwarded).toEqual([]);
    }
  });

  it('A1 a log that cannot be written means refusal, whatever was kept beside it', async () => {
    const fake = makeGateway({
      record: () => Promise.reject(new RemitError('ERR_JOURNAL_FULL', 'no space')),
      memory: { keep: () => undefined, confirm: () => undefined },
    });
    await expect(handleMethod(fake.gateway, caller(fake), call())).rejects.toMatchObject({ code: 'ERR_JOURNAL_FULL' });
    expect(fake.forwarded).toEqual([]);
  });

  it('D1 a denial is recorded like a permit, and neither leases nor forwards', async () => {
    const fake = makeGateway({ decideCall: () => decision('deny', { policies: ['no-orders'] }) });
    const { reply } = await handleMethod(fake.gateway, caller(fake), call());
    expect(reply).toMatchObject({ refusal: { kind: 'denied', decision: { policies: ['no-orders'] } } });
    expect(fake.events).toEqual(['record:decision']);
    expect(fake.records[0]).toMatchObject({
      detail: { verdict: 'deny', policies: ['no-orders'], policyVersion: 'v1' },
      input: '{"id":1}',
    });
  });

  it('D1 a verdict that is not a permit is not a permit: step_up without an approval forwards nothing', async () => {
    const fake = makeGateway({ decideCall: () => decision('step_up') });
    await handleMethod(fake.gateway, caller(fake), call());
    expect(fake.forwarded).toEqual([]);
  });

  it('D1 a decision that fails forwards nothing', async () => {
    const fake = makeGateway({ decideCall: () => Promise.reject(new Error('engine fault')) });
    await expect(handleMethod(fake.gateway, caller(fake), call())).rejects.toThrow('engine fault');
    expect(fake.forwarded).toEqual([]);
  });

  it('D4 what is forwarded is what was decided on: the tool’s own name, the same arguments, no metadata of the client', async () => {
    let decidedOn: unknown;
    const fake = makeGateway({
      decideCall: ({ args }) => {
        decidedOn = args;
        return decision('permit');
      },
    });
    await handleMethod(fake.gateway, caller(fake), call('shop__orders', { id: 7, nested: { a: [1, 'x'] } }));
    const sent = JSON.parse(fake.forwarded[0] as string) as Record<string, unknown>;
    expect(sent).toEqual({
      name: 'orders',
      arguments: decidedOn,
      _meta: { traceparent: `00-${'0'.repeat(32)}-${'0'.repeat(15)}1-01` },
    });
  });

  it('A2 the records of a call are joined by one span and carry who, what and for which task', async () => {
    const fake = makeGateway();
    const { recordOutcome } = await handleMethod(fake.gateway, caller(fake), call());
    recordOutcome?.();
    expect(fake.records.map((record) => record.type)).toEqual(['decision', 'credential_used', 'outcome']);
    for (const record of fake.records) {
      expect(record).toMatchObject({
        span: `${'0'.repeat(15)}1`,
        trace: '0'.repeat(32),
        agent: 'helper',
        actors: [],
        workload: 'private_key_jwt',
        task: 'tsk_a',
        connector: 'shop',
        tool: 'shop/orders',
      });
    }
    expect(fake.records[2]?.detail).toMatchObject({
      status: 'ok',
      resultDigest: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
  });

  it('F16 R16 two runs that differ in nothing, with one secret at one server, are told apart in every record', async () => {
    const runs = [makeTask('tsk_a'), makeTask('tsk_b')].map((task, at) => ({
      ...task,
      trace: traceId(`${at}`.repeat(32)),
    }));
    const secrets = new Set<string | undefined>();
    const leases = new Map<string, HeldLease>();
    const fake = makeGateway({
      tasks: runs,
      // One secret for both, as a long-lived one is: only the lease says for which run it was given out.
      acquireLease(task, connector) {
        const known = leases.get(task.id);
        if (known !== undefined) return known;
        const headers = { Authorization: new Secret('one for all') };
        const { lease } = heldLease(task, connector);
        const own = createHeldLease(lease, { environment: {}, headers });
        leases.set(task.id, own);
        return own;
      },
      reply: async (_params, open) => {
        secrets.add(open.injection.headers.Authorization?.reveal());
        return { result: {}, resultText: '{}' };
      },
    });
    const [one, other] = runs as [Task, Task];
    const done = await Promise.all(
      [one, other, one, other].map((task) => handleMethod(fake.gateway, caller(fake, task), call())),
    );
    for (const { recordOutcome } of done) recordOutcome?.();
    expect([...secrets]).toEqual(['one for all']);

    const runsOf = new Map<unknown, Set<unknown>>();
    for (const { span, task, trace, lease, type } of fake.records) {
      runsOf.set(span, (runsOf.get(span) ?? new Set()).add(task));
      expect(trace).toBe(runs.find(({ id }) => id === task)?.trace);
      if (type === 'credential_used') expect(lease).toBe(`lse_${String(task).slice(4)}`);
    }
    expect([...runsOf.values()].map((of) => of.size)).toEqual([1, 1, 1, 1]);
    const tasks = fake.records.map(({ task }) => task);
    expect(tasks.filter((task) => task === 'tsk_a')).toHaveLength(6);
    expect(tasks.filter((task) => task === 'tsk_b')).toHaveLength(6);
  });

  it('A2 an unknown tool is recorded as a denial: probing leaves a trace', async () => {
    const fake = makeGateway();
    const { reply } = await handleMethod(fake.gateway, caller(fake), call('shop__nothing'));
    expect(reply).toMatchObject({ error: { code: -32602 } });
    expect(fake.records[0]).toMatchObject({
      type: 'decision',
      detail: { verdict: 'deny', policies: ['remit:unknown-tool'] },
    });
  });

  it('I1 two tasks never share a connection or a credential, however they interleave', async () => {
    const [a, b] = [makeTask('tsk_a'), makeTask('tsk_b', 'other')];
    const secrets: string[] = [];
    const fake = makeGateway({
      tasks: [a, b],
      reply: async (_params, open) => {
        secrets.push(`${open.task} uses ${open.injection.headers.Authorization?.reveal()}`);
        return { result: {}, resultText: '{}' };
      },
    });
    await Promise.all([a, b, a, b].map((task) => handleMethod(fake.gateway, caller(fake, task), call())));
    expect(fake.events.filter((event) => event.startsWith('open:')).sort()).toEqual(['open:tsk_a', 'open:tsk_b']);
    expect(new Set(secrets)).toEqual(new Set(['tsk_a uses secret of tsk_a', 'tsk_b uses secret of tsk_b']));
  });

  it('L6 a server that echoes its credential does not get it past the gateway, whole or without its scheme', async () => {
    const [task] = [makeTask('tsk_echoing')];
    const echoed = {
      content: [{ type: 'text', text: 'I was called with "secret of tsk_echoing", and with tsk_echoing' }],
    };
    const fake = makeGateway({
      tasks: [task as Task],
      reply: async (params) =>
        params.includes('"fail"')
          ? { error: { code: -32000, message: 'bad login: secret of tsk_echoing' } }
          : { result: echoed, resultText: JSON.stringify(echoed) },
    });
    const ok = await handleMethod(fake.gateway, caller(fake), call());
    ok.recordOutcome?.();
    expect(JSON.stringify(ok.reply)).not.toContain('secret of tsk_echoing');
    expect(JSON.stringify(ok.reply)).toContain('withheld by Remit');
    expect(fake.records.at(-1)?.detail).toMatchObject({ status: 'ok', credentialsWithheld: 2 });
    const failed = await handleMethod(fake.gateway, caller(fake), call('shop__orders', { mode: 'fail' }));
    expect(failed.reply).toMatchObject({
      error: { code: -32000, message: expect.stringContaining('withheld by Remit') },
    });
  });

  it('I2 a call that does not come back is not sent again; its outcome is unknown', async () => {
    const fake = makeGateway({ reply: () => Promise.reject(new RemitError('ERR_CONNECTOR_TIMEOUT', 'late')) });
    const { reply, recordOutcome } = await handleMethod(fake.gateway, caller(fake), call());
    recordOutcome?.();
    expect(fake.forwarded).toHaveLength(1);
    expect(reply).toMatchObject({ refusal: { kind: 'unavailable', code: 'ERR_CONNECTOR_TIMEOUT' } });
    expect(fake.records.at(-1)).toMatchObject({ type: 'outcome', detail: { status: 'unknown' } });
  });

  it('L1 a credential that cannot be leased means refusal: nothing is forwarded', async () => {
    const fake = makeGateway({
      acquireLease: () => Promise.reject(new RemitError('ERR_CREDENTIAL_ISSUE', 'no database')),
    });
    const { reply, recordOutcome } = await handleMethod(fake.gateway, caller(fake), call());
    recordOutcome?.();
    expect(reply).toMatchObject({ refusal: { kind: 'unavailable', code: 'ERR_CREDENTIAL_ISSUE' } });
    expect(fake.events).toEqual(['record:decision', 'record:outcome']);
    expect(fake.records.at(-1)?.detail).toMatchObject({ status: 'not_forwarded' });
  });

  it('a task that ends while its credential is being leased opens no connection', async () => {
    const fake = makeGateway({
      acquireLease: async (task, connector) => {
        fake.end(task.id);
        return heldLease(task, connector);
      },
    });
    const { reply } = await handleMethod(fake.gateway, caller(fake), call());
    expect(reply).toMatchObject({ refusal: { kind: 'unauthenticated' } });
    expect(fake.events.filter((event) => event.startsWith('open'))).toEqual([]);
  });

  it('the call budget holds for parallel calls: exactly as many are permitted as it has', async () => {
    const fake = makeGateway({ tasks: [makeTask('tsk_a', 'helper', 3)] });
    const replies = await Promise.all(
      Array.from({ length: 10 }, () => handleMethod(fake.gateway, caller(fake), call())),
    );
    expect(fake.forwarded).toHaveLength(3);
    expect(replies.filter(({ reply }) => 'refusal' in reply && reply.refusal.kind === 'denied')).toHaveLength(7);
    expect(fake.records.filter((record) => record.detail.gate === 'budget')).toHaveLength(7);
  });
});

describe('connections', () => {
  it('a renewed lease: calls under way finish on the old connection, new ones open another', async () => {
    let answer = (): void => {};
    const gate = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const fake = makeGateway({
      tasks: [makeTask('tsk_renewed')],
      reply: async () => {
        await gate;
        return { result: {}, resultText: '{}' };
      },
    });
    const underWay = handleMethod(fake.gateway, caller(fake), call());
    while (fake.forwarded.length === 0) await wait();
    const task = [...fake.tasks.values()][0] as Task;
    const held = heldLease(task, makeTool('x').connector);
    expect(held.uses).toBe(1);
    fake.gateway.connections.retireLease(held.lease.id);
    await wait();
    expect(fake.events).not.toContain('close:tsk_renewed');
    answer();
    expect((await underWay).reply).toMatchObject({ resultText: '{}' });
    await wait();
    expect(fake.events).toContain('close:tsk_renewed');
    expect(held.uses).toBe(0);
    expect(fake.gateway.connections.size).toBe(0);
  });
});

describe('discovery', () => {
  it('D2 listing and calling are separate decisions: listed is not callable, callable need not be listed', async () => {
    const fake = makeGateway({
      decideDiscovery: ({ tool }) => decision(tool.name === 'orders' ? 'permit' : 'deny'),
      decideCall: ({ tool }) => decision(tool.name === 'refunds' ? 'permit' : 'deny'),
    });
    const listed = await list(fake);
    expect(listed.tools.map((tool) => tool.name)).toEqual(['shop__orders']);
    expect((await handleMethod(fake.gateway, caller(fake), call('shop__orders'))).reply).toHaveProperty('refusal');
    expect((await handleMethod(fake.gateway, caller(fake), call('shop__refunds'))).reply).toHaveProperty('resultText');
    expect(fake.records.map((record) => record.type)).toEqual(['discovery', 'decision', 'decision', 'credential_used']);
  });

  it('D2 tools without an approved profile are counted and not shown', async () => {
    const fake = makeGateway({
      tools: [makeTool('orders'), makeTool('secret', 'undescribed'), makeTool('changed', 'quarantined')],
    });
    const listed = await list(fake);
    expect(listed.tools).toHaveLength(1);
    expect(listed._meta['io.remit/withheld']).toEqual({ undescribed: 1, quarantined: 1, withheld: 0 });
    expect(JSON.stringify(listed)).not.toContain('secret');
  });
});
