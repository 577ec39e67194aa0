import { afterEach, describe, expect, it } from 'vitest';
import type { TaskId } from '../../src/domain/ids.ts';
import type { ClientRequest } from '../../src/gateway/client-request.ts';
import type { Session } from '../../src/gateway/edge/legacy/session.ts';
import type { Sink } from '../../src/gateway/events/hub.ts';
import {
  type Events,
  type FakeLegacy,
  type LegacyOptions,
  result,
  rpc,
  startLegacy,
} from '../support/fake-legacy-edge.ts';

let gateway: FakeLegacy;
const start = async (options: LegacyOptions = {}): Promise<void> => {
  gateway = await startLegacy(options);
};
afterEach(() => gateway.close());

const sink = (): Sink => [...gateway.sinks][0] as Sink;
const from = (id: string | undefined): { readonly headers: Record<string, string> } => ({
  headers: { 'Last-Event-ID': id as string },
});
const say = (n: number): void => sink().notify('notifications/message', { level: 'info', data: n });
const heard = async (events: Events, count: number): Promise<unknown[]> => {
  const said: unknown[] = [];
  while (said.length < count) said.push(((await events.message())?.params as { data: unknown } | undefined)?.data);
  return said;
};
/** Waits until the gateway has seen that a connection is gone. */
const gone = async (isSeen: () => boolean): Promise<void> => {
  while (!isSeen()) await gateway.time.settle();
};
const isListening = (): boolean => sink().ask !== undefined;

/** A method that says and answers when the test does. */
function controlled() {
  const requests: ClientRequest[] = [];
  const finish: ((value?: object) => void)[] = [];
  return {
    requests,
    finish,
    cancelled: [] as string[],
    handle(this: { cancelled: string[] }, request: ClientRequest) {
      requests.push(request);
      return new Promise<ReturnType<typeof result>>((resolve) => {
        finish.push((value = {}) => resolve(result({ ...value })));
        request.cancellation.onCancel((why) => {
          this.cancelled.push(why);
          resolve(result());
        });
      });
    },
  };
}
const progress = (request: ClientRequest | undefined, n: number): void =>
  request?.client.notify('notifications/progress', { progressToken: 'p', progress: n });
const CALL = rpc('tools/call', { name: 'x', _meta: { progressToken: 'p' } });

describe('the GET stream', () => {
  it('needs a session, and a client that reads streams', async () => {
    await start();
    const bare = await gateway.send(undefined);
    expect([bare.status, bare.headers.allow]).toEqual([405, 'POST']);
    expect((await gateway.send(undefined, { verb: 'DELETE' })).status).toBe(405);
    const session = await gateway.session();
    expect((await gateway.send(undefined, { session, headers: { Accept: 'application/json' } })).status).toBe(406);
  });

  it('2025-11-25: begins with an event that says where to go on from; earlier clients get none', async () => {
    await start();
    const now = await gateway.stream(undefined, { session: await gateway.session() });
    expect(now.response.headers['content-type']).toBe('text/event-stream');
    expect(await now.next()).toEqual({ id: '1-0', retry: expect.stringMatching(/^\d{3,4}$/), data: '' });
    const before = await gateway.stream(undefined, { session: await gateway.session({ version: '2025-06-18' }) });
    expect(await before.next()).toEqual({ isComment: true });
  });

  it('carries what is said outside requests', async () => {
    await start();
    const session = await gateway.session();
    const events = await gateway.stream(undefined, { session });
    expect(sink().era).toBe('legacy');
    sink().notify('notifications/tools/list_changed', {});
    expect(await events.message()).toMatchObject({ method: 'notifications/tools/list_changed', event: '1-1' });
  });

  it('each message goes on one stream only, of several that a session may have', async () => {
    await start();
    const session = await gateway.session();
    const first = await gateway.stream(undefined, { session });
    const second = await gateway.stream(undefined, { session });
    expect(gateway.sinks.size).toBe(1);
    say(1);
    expect(await heard(second, 1)).toEqual([1]);
    await second.drop();
    gateway.edge.endTask('tsk_a');
    expect((await first.rest()).filter(({ data }) => data)).toEqual([]);
  });

  it('a session has four of them at most: the oldest makes room', async () => {
    await start();
    const session = await gateway.session();
    const streams: Events[] = [];
    for (let n = 0; n < 5; n++) streams.push(await gateway.stream(undefined, { session }));
    expect((await streams[0]?.rest())?.length).toBe(1);
    say(1);
    expect(await heard(streams[4] as Events, 1)).toEqual([1]);
  });

  it('a subscription is made known, and so is its end', async () => {
    await start();
    const session = await gateway.session();
    await gateway.send(rpc('resources/subscribe', { uri: 'docs://a' }), { session });
    expect([...sink().resources()]).toEqual(['docs://a']);
    expect([sink().wantsResource('docs://a'), sink().wantsResource('docs://b')]).toEqual([true, false]);
    await gateway.send(rpc('resources/subscribe', { uri: 'docs://b' }), { session });
    await gateway.send(rpc('resources/unsubscribe', { uri: 'docs://a' }), { session });
    expect([...sink().resources()]).toEqual(['docs://b']);
    expect(gateway.changed).toEqual(['tsk_a', 'tsk_a'] as TaskId[]);
    await gateway.send(rpc('resources/unsubscribe', { uri: 'docs://b' }), { session });
    expect(gateway.sinks.size).toBe(0);
  });

  it('fault 26: a silent stream gets a comment at least every 25 seconds, and a POST becomes a stream after 15', async () => {
    const calls = controlled();
    await start({ handle: (request) => calls.handle(request) });
    const session = await gateway.session();
    const events = await gateway.stream(undefined, { session });
    await events.next();
    for (let n = 0; n < 3; n++) {
      await gateway.time.advance(25_000);
      expect(await events.next()).toEqual({ isComment: true });
    }
    const call = gateway.begin(CALL, { session });
    await gone(() => calls.requests.length === 1);
    await gateway.time.advance(15_000);
    const reply = await call.events;
    expect(reply.response.headers['content-type']).toBe('text/event-stream');
    calls.finish[0]?.({ done: true });
    expect((await reply.rest()).map(({ data }) => data).at(-1)).toContain('"done":true');
  });

  it('ends before its token does, and is told nothing after; the next one goes on where it was', async () => {
    await start();
    const token = (until: number): string => `tsk_a alice ${gateway.time.clock() + until}`;
    const session = await gateway.session({ token: token(60_000) });
    const events = await gateway.stream(undefined, { session, token: token(60_000) });
    say(1);
    expect(await heard(events, 1)).toEqual([1]);
    await gateway.time.advance(58_000);
    say(2);
    expect(await heard(events, 1)).toEqual([2]);
    await gateway.time.advance(2_000);
    expect((await events.rest()).filter(({ data }) => data)).toEqual([]);
    say(3);
    const next = await gateway.stream(undefined, { session, token: token(60_000), ...from('1-2') });
    expect(await heard(next, 1)).toEqual([3]);
  });

  it('a token that ends between two looks: nothing is said on its stream', async () => {
    await start();
    const token = `tsk_a alice ${gateway.time.clock() - 1}`;
    const session = await gateway.session({ token });
    const events = await gateway.stream(undefined, { session, token });
    say(1);
    expect((await events.rest()).every(({ data }) => !data)).toBe(true);
  });
});

describe('resumption', () => {
  it('replays what came after, in order, and goes on', async () => {
    await start();
    const session = await gateway.session();
    const events = await gateway.stream(undefined, { session });
    for (const n of [1, 2, 3]) say(n);
    expect(await heard(events, 3)).toEqual([1, 2, 3]);
    await events.drop();
    await gone(() => !isListening());
    for (const n of [4, 5]) say(n);
    const next = await gateway.stream(undefined, { session, ...from('1-2') });
    expect(await heard(next, 3)).toEqual([3, 4, 5]);
    say(6);
    expect(await next.message()).toMatchObject({ event: '1-6' });
  });

  it('a client that names no event gets what was written to nobody', async () => {
    await start();
    const session = await gateway.session({ version: '2025-06-18' });
    const events = await gateway.stream(undefined, { session });
    say(1);
    expect(await heard(events, 1)).toEqual([1]);
    await events.drop();
    await gone(() => !isListening());
    say(2);
    const next = await gateway.stream(undefined, { session });
    expect(await heard(next, 1)).toEqual([2]);
  });

  it.each(['9-1', '1-99', '0-0', 'nonsense', '-1', '1', '1-1 ', '99999999999999-1'])(
    'an unknown event id (%s) opens a stream all the same',
    async (id) => {
      await start();
      const session = await gateway.session();
      const events = await gateway.stream(undefined, { session });
      say(1);
      await heard(events, 1);
      const next = await gateway.stream(undefined, { session, ...from(id) });
      say(2);
      expect(await heard(next, 1)).toEqual([2]);
    },
  );

  it('what fell out of the log is not invented: a fresh stream', async () => {
    await start();
    const session = await gateway.session();
    const events = await gateway.stream(undefined, { session });
    for (let n = 1; n <= 300; n++) say(n);
    await heard(events, 300);
    const lost = await gateway.stream(undefined, { session, ...from('1-10') });
    expect((await lost.next())?.id).toBe('2-0');
    const kept = await gateway.stream(undefined, { session, ...from('1-44') });
    expect(await heard(kept, 256)).toEqual(Array.from({ length: 256 }, (_, at) => at + 45));
  });

  it('A17: an event id of another session opens nothing of it', async () => {
    await start();
    const [mine, other] = [await gateway.session(), await gateway.session({ token: 'tsk_b' })];
    const events = await gateway.stream(undefined, { session: mine });
    say(1);
    await heard(events, 1);
    const theirs = await gateway.stream(undefined, { session: other, token: 'tsk_b', ...from('1-0') });
    gateway.edge.endTask('tsk_b');
    expect((await theirs.rest()).filter(({ data }) => data)).toEqual([]);
    expect((await gateway.send(undefined, { session: mine, token: 'tsk_b', ...from('1-0') })).status).toBe(404);
  });

  it('fault 28: a client that reconnects again and again has one stream, and the old ones are closed at once', async () => {
    await start();
    const session = await gateway.session();
    let events = await gateway.stream(undefined, { session });
    for (let n = 1; n <= 200; n++) {
      say(n);
      const next = await gateway.stream(undefined, { session, ...from(`1-${n - 1}`) });
      await events.whole();
      expect(await heard(next, 1)).toEqual([n]);
      events = next;
    }
    expect(gateway.sinks.size).toBe(1);
    expect(gateway.edge.sessions).toBe(1);
    // One wheel, one look for tokens, one sweep: timers do not grow with streams.
    expect(gateway.time.pending).toBeLessThan(8);
  });

  it('fault 28: two at once for the same stream: the later one has it', async () => {
    await start();
    const session = await gateway.session();
    await gateway.stream(undefined, { session });
    say(1);
    const racing = await Promise.all(
      Array.from({ length: 8 }, () => gateway.stream(undefined, { session, ...from('1-0') })),
    );
    say(2);
    gateway.edge.endTask('tsk_a');
    const all = await Promise.all(racing.map((events) => events.rest()));
    expect(all.filter((events) => events.some(({ id }) => id === '1-2'))).toHaveLength(1);
  });

  it('kept events are bounded, of a session and of an agent', async () => {
    await start({ limits: { keptPerSession: 10_000, keptPerAgent: 15_000 } });
    const large = (): void => sink().notify('notifications/message', { level: 'info', data: 'x'.repeat(4_000) });
    const session = await gateway.session();
    const events = await gateway.stream(undefined, { session });
    for (let n = 0; n < 5; n++) large();
    await heard(events, 5);
    expect((await (await gateway.stream(undefined, { session, ...from('1-2') })).next())?.id).toBe('2-0');
    const next = await gateway.stream(undefined, { session, ...from('1-3') });
    expect(await heard(next, 2)).toEqual(['x'.repeat(4_000), 'x'.repeat(4_000)]);
    // Two are kept here, so that the agent has room for one more elsewhere.
    const other = await gateway.session();
    const elsewhere = await gateway.stream(undefined, { session: other });
    const [, second] = [...gateway.sinks];
    for (let n = 0; n < 2; n++) second?.notify('notifications/message', { level: 'info', data: 'y'.repeat(4_000) });
    await heard(elsewhere, 2);
    expect((await (await gateway.stream(undefined, { session: other, ...from('1-0') })).next())?.id).toBe('2-0');
    const one = await gateway.stream(undefined, { session: other, ...from('1-1') });
    expect(await heard(one, 1)).toEqual(['y'.repeat(4_000)]);
    // The end of a session gives back what it held.
    await gateway.send(undefined, { verb: 'DELETE', session });
    for (let n = 0; n < 2; n++) second?.notify('notifications/message', { level: 'info', data: 'z'.repeat(4_000) });
    const both = await gateway.stream(undefined, { session: other, ...from('2-0') });
    expect(await heard(both, 2)).toEqual(['z'.repeat(4_000), 'z'.repeat(4_000)]);
  });

  it('a stream that was taken over and not read is not waited for', async () => {
    await start();
    const session = await gateway.session();
    const events = await gateway.stream(undefined, { session });
    await events.next();
    events.response.pause();
    for (let n = 0; n < 80; n++) {
      sink().notify('notifications/message', { level: 'info', data: 'x'.repeat(60_000) });
      await gateway.time.settle();
    }
    const next = await gateway.stream(undefined, { session, ...from('1-0') });
    expect((await next.next())?.id).toBe('2-0');
    expect(gateway.sinks.size).toBe(1);
  });

  it('nobody comes back: after a while the stream is forgotten, and nothing is kept for it', async () => {
    await start();
    const session = await gateway.session();
    const events = await gateway.stream(undefined, { session });
    await events.drop();
    await gone(() => !isListening());
    expect(gateway.sinks.size).toBe(1);
    await gateway.time.advance(7 * 60_000);
    expect(gateway.sinks.size).toBe(0);
  });
});

describe('a streamed reply', () => {
  it('is JSON while nothing is said before it', async () => {
    await start();
    const answer = await gateway.send(CALL, { session: await gateway.session() });
    expect(answer.headers['content-type']).toBe('application/json');
    expect(answer.body).toEqual({ jsonrpc: '2.0', id: 1, result: {} });
  });

  it('carries progress under the client’s own token only, then the answer, then ends', async () => {
    await start({
      handle: ({ client }) => {
        client.notify('notifications/progress', { progressToken: 'p', progress: 1 });
        client.notify('notifications/progress', { progressToken: 'another', progress: 2 });
        client.notify('notifications/progress', { progress: 3 });
        return result({ done: true });
      },
    });
    const events = await gateway.stream(CALL, { session: await gateway.session() });
    expect(await events.rest()).toEqual([
      { id: '1-0', retry: expect.any(String), data: '' },
      {
        id: '1-1',
        data: '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"p","progress":1}}',
      },
      { id: '1-2', data: '{"jsonrpc":"2.0","id":1,"result":{"done":true}}' },
    ]);
  });

  it('fault 32: a client without a progress token hears of no progress', async () => {
    await start({
      handle: ({ client }) => {
        client.notify('notifications/progress', { progressToken: undefined, progress: 1 });
        client.notify('notifications/progress', { progressToken: 'p', progress: 1 });
        return result();
      },
    });
    const answer = await gateway.send(rpc('tools/call'), { session: await gateway.session() });
    expect(answer.headers['content-type']).toBe('application/json');
  });

  it('goes on when the connection breaks, and is there for the client that comes back', async () => {
    const calls = controlled();
    await start({ handle: (request) => calls.handle(request) });
    const session = await gateway.session();
    const pending = gateway.stream(CALL, { session });
    await gone(() => calls.requests.length === 1);
    progress(calls.requests[0], 1);
    const events = await pending;
    expect((await events.message())?.event).toBe('1-1');
    await events.drop();
    await gateway.time.settle();
    progress(calls.requests[0], 2);
    const back = await gateway.stream(undefined, { session, ...from('1-1') });
    expect((await back.message())?.params).toMatchObject({ progress: 2 });
    progress(calls.requests[0], 3);
    expect((await back.message())?.params).toMatchObject({ progress: 3 });
    calls.finish[0]?.({ done: true });
    expect(await back.message()).toMatchObject({ id: 1, result: { done: true } });
    expect(await back.next()).toBeUndefined();
    expect(calls.cancelled).toEqual([]);
    // Once more: the reply is kept for a while.
    const again = await gateway.stream(undefined, { session, ...from('1-3') });
    expect(await again.message()).toMatchObject({ id: 1, result: { done: true } });
    expect(await again.next()).toBeUndefined();
    expect(calls.requests).toHaveLength(1);
  });

  it('a reply that came while nobody was there is not lost', async () => {
    const calls = controlled();
    await start({ handle: (request) => calls.handle(request) });
    const session = await gateway.session();
    const pending = gateway.stream(CALL, { session });
    await gone(() => calls.requests.length === 1);
    progress(calls.requests[0], 1);
    const events = await pending;
    await events.message();
    await events.drop();
    calls.finish[0]?.({ done: true });
    await gateway.time.settle();
    const back = await gateway.stream(undefined, { session, ...from('1-0') });
    expect((await back.message())?.event).toBe('1-1');
    expect(await back.message()).toMatchObject({ id: 1, result: { done: true } });
    await gateway.time.advance(10 * 60_000);
    const late = await gateway.stream(undefined, { session, ...from('1-0') });
    expect((await late.next())?.id).toBe('2-0');
  });

  it('I3: streams that are over are held no longer than their events', async () => {
    await start({
      handle: (request) => {
        progress(request, 1);
        return result();
      },
    });
    const session = await gateway.session();
    await gateway.stream(undefined, { session });
    const home = sink() as unknown as Session;
    for (let id = 0; id < 150; id++) await (await gateway.stream({ ...CALL, id }, { session })).whole();
    const held = Array.from({ length: 151 }, (_, at) => home.channel(at + 1)).filter((one) => one !== undefined);
    // The GET stream, and two events of each reply.
    expect(held).toHaveLength(1 + 256 / 2);
    await gateway.time.advance(7 * 60_000);
    expect(home.channel(151)).toBeUndefined();
    expect(home.channel(1)).toBeDefined();
  });

  it('no stream yet and the connection breaks: cancelled', async () => {
    const calls = controlled();
    await start({ handle: (request) => calls.handle(request) });
    const { call, events } = gateway.begin(CALL, { session: await gateway.session() });
    await gone(() => calls.requests.length === 1);
    call.destroy();
    await expect(events).rejects.toThrow();
    await gone(() => calls.cancelled.length > 0);
    expect(calls.cancelled).toEqual(['the client disconnected']);
  });

  it('two streams at once stay apart', async () => {
    const calls = controlled();
    await start({ handle: (request) => calls.handle(request) });
    const session = await gateway.session();
    const pending = [1, 2].map((id) => gateway.stream({ ...CALL, id }, { session }));
    await gone(() => calls.requests.length === 2);
    for (const request of calls.requests) progress(request, Number(request.id));
    const streams = await Promise.all(pending);
    calls.finish[1]?.({ by: calls.requests[1]?.id });
    calls.finish[0]?.({ by: calls.requests[0]?.id });
    for (const [at, events] of streams.entries()) {
      const messages = (await events.rest()).filter(({ data }) => data).map(({ data }) => JSON.parse(data as string));
      expect(messages[0].params.progress).toBe(at + 1);
      expect(messages[1]).toMatchObject({ id: at + 1, result: { by: at + 1 } });
    }
  });
});
