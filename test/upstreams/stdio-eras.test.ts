import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Containment } from '../../src/adapters/upstreams/contain-process.ts';
import { WATCHER_PLAN } from '../../src/adapters/upstreams/probe-containment.ts';
import {
  createStdioOpener,
  type StdioOpener,
  type StdioOpenerOptions,
} from '../../src/adapters/upstreams/stdio-upstream.ts';
import type { Era } from '../../src/domain/era.ts';
import { connectorId, taskId } from '../../src/domain/ids.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import {
  type ClientAnswer,
  NO_CREDENTIAL,
  type Upstream,
  type UpstreamCall,
  type UpstreamEvents,
} from '../../src/seams/upstream.ts';
import { CLIENT, contain, FAKE_STDIO_COMMAND, schedule } from '../support/fake-mcp-setup.ts';

let containment: Containment;
beforeEach(async () => {
  containment = await contain(WATCHER_PLAN);
});
afterEach(() => containment.close());

function opener(environment: Record<string, string>, more: Partial<StdioOpenerOptions> = {}): StdioOpener {
  return createStdioOpener({
    command: FAKE_STDIO_COMMAND,
    environment,
    containment,
    clientInfo: CLIENT,
    schedule,
    ...more,
  });
}

function open(from: StdioOpener, prefer: Era, events?: UpstreamEvents): Promise<Upstream> {
  return from.open({
    connector: connectorId('fake'),
    task: taskId('tsk_a'),
    injection: NO_CREDENTIAL,
    timeoutMs: 15_000,
    prefer,
    clientCapabilities: { elicitation: {} },
    events,
  });
}

async function call(upstream: Upstream, method: string, params: object = {}, more: Partial<UpstreamCall> = {}) {
  const members = JSON.stringify(params).slice(1, -1);
  const reply = await upstream.request({ method, params: members, meta: '', timeoutMs: 10_000, ...more });
  if (!('result' in reply)) throw new Error(JSON.stringify(reply));
  return reply.result;
}

const methodsOf = async (upstream: Upstream): Promise<(string | undefined)[]> =>
  ((await call(upstream, 'received')).messages as { method?: string }[]).map(({ method }) => method);

describe('the era of a stdio server', () => {
  it.each<[Era, string, Era, string[]]>([
    ['legacy', 'dual', 'legacy', ['initialize', 'notifications/initialized']],
    ['modern', 'dual', 'modern', ['server/discover']],
    ['legacy', 'modern', 'modern', ['initialize', 'server/discover']],
    ['modern', '2025-11-25', 'legacy', ['server/discover', 'initialize', 'notifications/initialized']],
  ])('prefers %s: a server of %s is opened in %s, on one process', async (prefer, version, era, methods) => {
    const from = opener({ FAKE_VERSION: version });
    const upstream = await open(from, prefer);
    expect(upstream.era).toBe(era);
    expect((await methodsOf(upstream)).slice(0, -1)).toEqual(methods);
    // The second time it is known.
    const again = await open(from, prefer);
    const known = era === 'modern' ? ['server/discover'] : ['initialize', 'notifications/initialized'];
    expect((await methodsOf(again)).slice(0, -1)).toEqual(known);
  });

  it('is asked in nothing but the configured era', async () => {
    expect((await open(opener({ FAKE_VERSION: 'dual' }, { protocol: 'modern' }), 'legacy')).era).toBe('modern');
    expect((await open(opener({ FAKE_VERSION: 'dual' }, { protocol: 'legacy' }), 'modern')).era).toBe('legacy');
    await expect(open(opener({ FAKE_VERSION: '2025-11-25' }, { protocol: 'modern' }), 'legacy')).rejects.toMatchObject({
      code: 'ERR_CONNECTOR_PROTOCOL',
    });
  });

  it('is legacy where the server does not answer `server/discover` within two seconds', async () => {
    const from = opener({ FAKE_VERSION: '2025-06-18', FAKE_DISCOVER: 'ignore' });
    const before = performance.now();
    expect((await open(from, 'modern')).era).toBe('legacy');
    expect(performance.now() - before).toBeGreaterThan(1_900);
    const again = await open(from, 'modern');
    expect(again.era).toBe('legacy');
    expect(await methodsOf(again), 'it is known: nothing is waited for').not.toContain('server/discover');
  });

  it('is modern where a server that speaks nothing else is only slow to start', async () => {
    expect((await open(opener({ FAKE_VERSION: 'modern', FAKE_SLOW: '2500' }), 'modern')).era).toBe('modern');
  });

  it('starts a server once more that dies of `server/discover`, and asks it no more', async () => {
    const started: number[] = [];
    const counted = {
      ...containment,
      start: async (one: never) => {
        const child = await containment.start(one);
        started.push(child.pid);
        return child;
      },
    };
    const from = opener({ FAKE_VERSION: '2025-06-18', FAKE_DISCOVER: 'die' }, { containment: counted as Containment });
    const upstream = await open(from, 'modern');
    expect(upstream.era).toBe('legacy');
    expect(await methodsOf(upstream)).not.toContain('server/discover');
    expect(started).toHaveLength(2);
    await open(from, 'modern');
    expect(started).toHaveLength(3);
  });
});

describe('what a stdio server says outside its replies', () => {
  function hearer(answer: ClientAnswer = { result: { action: 'decline' } }) {
    const asked: string[] = [];
    const told: [string, JsonObject][] = [];
    return {
      asked,
      told,
      ask: async (method: string) => {
        asked.push(method);
        return answer;
      },
      notify: (method: string, params: JsonObject) => void told.push([method, params]),
      notification: (method: string, params: JsonObject) => void told.push([method, params]),
    };
  }

  it('is asked of the request that was begun last and has a client', async () => {
    const events = hearer();
    const upstream = await open(opener({}), 'legacy', events);
    const [first, second] = [hearer({ result: { by: 'first' } }), hearer({ result: { by: 'second' } })];
    const hanging = call(upstream, 'hang', {}, { client: first }).catch(() => {});
    expect(await call(upstream, 'elicit', {}, { client: second })).toEqual({ answer: { by: 'second' } });
    expect(await call(upstream, 'elicit')).toEqual({ answer: { by: 'first' } });
    expect([first.asked, second.asked, events.asked]).toEqual([['elicitation/create'], ['elicitation/create'], []]);
    await upstream.close();
    await hanging;
  });

  it('is asked of the connection where no request has a client, and refused where nobody is', async () => {
    const events = hearer({ result: { by: 'events' } });
    expect(await call(await open(opener({}), 'legacy', events), 'elicit')).toEqual({ answer: { by: 'events' } });
    expect(events.asked).toEqual(['elicitation/create']);
    expect(await call(await open(opener({}), 'legacy'), 'elicit')).toMatchObject({ answer: { code: -32601 } });
  });

  it('stops the time of every request while somebody is asked, as nobody knows which one asked', async () => {
    const upstream = await open(opener({}), 'legacy');
    const slow = hearer();
    const client = {
      ...slow,
      ask: () => new Promise<ClientAnswer>((resolve) => setTimeout(resolve, 1_500, { result: { late: true } })),
    };
    const echo = call(upstream, 'echo', { delay: 1_200 }, { timeoutMs: 400 });
    const elicit = call(upstream, 'elicit', {}, { client, timeoutMs: 400 });
    expect(await echo).toMatchObject({ echo: { delay: 1_200 } });
    expect(await elicit).toEqual({ answer: { late: true } });
    // And it goes on afterwards.
    await expect(call(upstream, 'hang', {}, { timeoutMs: 50 })).rejects.toMatchObject({
      code: 'ERR_CONNECTOR_TIMEOUT',
    });
  });

  it('fault 32: progress reaches the call with that token, and no other', async () => {
    const upstream = await open(opener({}), 'legacy', hearer());
    const [mine, other] = [hearer(), hearer()];
    const hanging = call(upstream, 'hang', {}, { client: other, progressToken: 'p-2' }).catch(() => {});
    await call(upstream, 'announce', {}, { client: mine, progressToken: 'p-1' });
    expect(mine.told[0]).toEqual(['notifications/progress', { progressToken: 'p-1', progress: 2, total: 3 }]);
    expect(other.told).toEqual([]);
    await upstream.close();
    await hanging;
  });

  it('fault 33: hears of lists that have changed whether or not a client watches, and of no resource that nobody does', async () => {
    const events = hearer();
    const upstream = await open(opener({}), 'legacy', events);
    await call(upstream, 'change');
    expect(events.told).toEqual([['notifications/tools/list_changed', {}]]);
    await upstream.watch({ lists: true, resources: [] });
    await call(upstream, 'change');
    expect(events.told).toEqual(Array(2).fill(['notifications/tools/list_changed', {}]));
  });

  it('fault 33: subscribes again when a modern server ends the subscription', async () => {
    const events = hearer();
    const upstream = await open(opener({ FAKE_VERSION: 'modern' }), 'modern', events);
    await upstream.watch({ lists: true, resources: [] });
    await call(upstream, 'unlisten');
    await expect
      .poll(async () => (await methodsOf(upstream)).filter((name) => name === 'subscriptions/listen'), {
        timeout: 5_000,
      })
      .toHaveLength(2);
    await call(upstream, 'change');
    expect(events.told).toEqual([['notifications/tools/list_changed', {}]]);
  });

  it('refuses more questions at a time than anybody can answer', async () => {
    let open_ = 0;
    const events = { ...hearer(), ask: () => new Promise<ClientAnswer>(() => void open_++) };
    const upstream = await open(opener({}), 'legacy', events);
    expect(await call(upstream, 'interrogate', { questions: 100 })).toEqual({ refused: 36 });
    expect(open_).toBe(64);
  });
});
