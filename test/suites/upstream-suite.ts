import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Cancellation } from '../../src/domain/cancellation.ts';
import type { Era } from '../../src/domain/era.ts';
import { connectorId, taskId } from '../../src/domain/ids.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import { Secret } from '../../src/domain/secret.ts';
import type {
  ClientAnswer,
  CredentialInjection,
  Upstream,
  UpstreamCall,
  UpstreamEvents,
  UpstreamOpener,
  UpstreamReply,
} from '../../src/seams/upstream.ts';

/**
 * What every implementation of `UpstreamOpener` must do. The fixture's server has the methods of
 * test/support/fake-mcp-behaviour.mjs.
 */
export interface UpstreamFixture {
  /**
   * An opener whose server answers the handshake with `version`; `silent` and `refuse` are versions too, and `modern` (2026-07-28 alone).
   */
  opener(version: string): UpstreamOpener;
  /** Injects `value` where the server reports it as its credential. */
  injection(value: Secret): CredentialInjection;
  dispose(): Promise<void>;
}

export interface UpstreamTraits {
  /** Era of the connections. */
  readonly era?: Era;
  /** Revisions with a handshake that its servers may choose. */
  readonly versions?: readonly string[];
  /** How a server hears that a call was given up. */
  readonly cancelledBy?: 'notifications/cancelled' | 'stream closed';
}

const CANARY = 'canary-5b1d7f20c3';
const LEGACY = ['2024-10-07', '2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25'];

interface Told {
  readonly method: string;
  readonly params: JsonObject;
}

export function upstreamSuite(
  name: string,
  makeFixture: () => Promise<UpstreamFixture>,
  { era = 'legacy', versions = LEGACY, cancelledBy = 'notifications/cancelled' }: UpstreamTraits = {},
): void {
  const isLegacy = era === 'legacy';
  describe(`${name} as an Upstream`, () => {
    let fixture: UpstreamFixture;
    beforeEach(async () => {
      fixture = await makeFixture();
    });
    afterEach(() => fixture.dispose());

    async function open(
      task = 'tsk_a',
      options: { version?: string; secret?: string; timeoutMs?: number; events?: UpstreamEvents } = {},
    ): Promise<Upstream> {
      const { version = isLegacy ? '2025-06-18' : 'modern', secret = CANARY, timeoutMs = 10_000, events } = options;
      return await fixture.opener(version).open({
        connector: connectorId('fake'),
        task: taskId(task),
        injection: fixture.injection(new Secret(secret)),
        timeoutMs,
        prefer: era,
        clientCapabilities: { elicitation: {} },
        events,
      });
    }

    const call = (
      upstream: Upstream,
      method: string,
      params: unknown = {},
      more: Partial<UpstreamCall> = {},
    ): Promise<UpstreamReply> =>
      upstream.request({ method, params: JSON.stringify(params).slice(1, -1), meta: '', timeoutMs: 10_000, ...more });

    /** A client that writes down what it is told, and answers questions with `answer`. */
    function client(answer: () => Promise<ClientAnswer> = async () => ({ result: { action: 'decline' } })) {
      const told: Told[] = [];
      const asked: Told[] = [];
      return {
        told,
        asked,
        notify: (method: string, params: JsonObject) => void told.push({ method, params }),
        ask: (method: string, params: JsonObject) => {
          asked.push({ method, params });
          return answer();
        },
      };
    }

    function events() {
      const told: Told[] = [];
      return {
        told,
        notification: (method: string, params: JsonObject) => void told.push({ method, params }),
        ask: async () => ({ result: {} }),
      };
    }

    async function resultOf(reply: Promise<UpstreamReply>): Promise<Record<string, unknown>> {
      const settled = await reply;
      if (!('result' in settled)) throw new Error(`unexpected reply ${JSON.stringify(settled)}`);
      expect(JSON.parse(settled.resultText)).toEqual(settled.result);
      const { resultType, ...rest } = settled.result;
      expect(resultType).toBe(isLegacy ? undefined : 'complete');
      return rest;
    }

    async function receivedBy(
      upstream: Upstream,
    ): Promise<{ method?: string; params?: Record<string, unknown>; id?: unknown }[]> {
      return (await resultOf(call(upstream, 'received'))).messages as [];
    }

    if (isLegacy)
      it.each(versions)('opens with a server of %s', async (version) => {
        const upstream = await open('tsk_a', { version });
        expect(upstream).toMatchObject({ era: 'legacy', protocolVersion: version, capabilities: { logging: {} } });
        const messages = await receivedBy(upstream);
        expect(messages.map((message) => message.method)).toEqual([
          'initialize',
          'notifications/initialized',
          'received',
        ]);
        expect(messages[0]?.params).toMatchObject({
          protocolVersion: '2025-11-25',
          clientInfo: { name: 'remit-test' },
          capabilities: { elicitation: {} },
        });
      });

    if (!isLegacy)
      it('opens without a handshake, and says who it is with each request', async () => {
        const upstream = await open();
        expect(upstream).toMatchObject({ era: 'modern', protocolVersion: '2026-07-28', capabilities: { logging: {} } });
        const messages = await receivedBy(upstream);
        expect(messages.map((message) => message.method)).toEqual(['server/discover', 'received']);
        const { meta } = await resultOf(
          call(upstream, 'meta', {}, { logLevel: 'debug', meta: '"traceparent":"00-a-b-01"' }),
        );
        expect(meta).toEqual({
          traceparent: '00-a-b-01',
          'io.modelcontextprotocol/protocolVersion': '2026-07-28',
          'io.modelcontextprotocol/clientInfo': { name: 'remit-test', version: '0' },
          'io.modelcontextprotocol/clientCapabilities': { elicitation: {} },
          'io.modelcontextprotocol/logLevel': 'debug',
        });
      });

    if (isLegacy)
      it('adds to `_meta` what the gateway sends and the token, and nothing else', async () => {
        const upstream = await open();
        expect(await resultOf(call(upstream, 'meta'))).toEqual({ meta: null });
        const more = { meta: '"traceparent":"00-a-b-01"', progressToken: 'p-1' };
        expect(await resultOf(call(upstream, 'meta', {}, more))).toEqual({
          meta: { traceparent: '00-a-b-01', progressToken: 'p-1' },
        });
      });

    if (isLegacy)
      it('sets the log level of the connection when a request wants another one', async () => {
        const upstream = await open();
        for (const logLevel of ['debug', 'debug', 'error', undefined]) await call(upstream, 'echo', {}, { logLevel });
        const messages = await receivedBy(upstream);
        const said = messages.slice(2).map(({ method, params }) => (method === 'logging/setLevel' ? params : method));
        expect(said).toEqual([{ level: 'debug' }, 'echo', 'echo', { level: 'error' }, 'echo', 'echo', 'received']);
      });

    it('tells the client of progress under its own token, and of log messages (fault 32)', async () => {
      const upstream = await open();
      const one = client();
      await call(upstream, 'announce', {}, { client: one, progressToken: 'p-7' });
      expect(one.told).toEqual([
        { method: 'notifications/progress', params: { progressToken: 'p-7', progress: 2, total: 3 } },
        { method: 'notifications/message', params: { level: 'info', data: 'hello' } },
      ]);
      const two = client();
      await call(upstream, 'announce', {}, { client: two });
      expect(two.told.map((told) => told.method)).toEqual(['notifications/message']);
      expect(await resultOf(call(upstream, 'announce'))).toEqual({});
    });

    it('hands plain progress on as it is written, to the call whose token it names (fault 32)', async () => {
      const upstream = await open();
      const [mine, other] = [client(), client()];
      const plain: [string, string][] = [];
      const takes = (who: string) => ({ plainProgress: (members: string) => void plain.push([who, members]) });
      await Promise.all([
        call(upstream, 'announce', {}, { client: { ...mine, ...takes('mine') }, progressToken: 'p-7' }),
        call(upstream, 'announce', {}, { client: { ...other, ...takes('other') }, progressToken: 'p-8' }),
      ]);
      const members = '"progress":2,"total":3';
      expect(plain.sort()).toEqual([
        ['mine', members],
        ['other', members],
      ]);
      expect([...mine.told, ...other.told].map((told) => told.method)).not.toContain('notifications/progress');
    });

    if (isLegacy)
      it('asks the client what the server asks, and gives the server the answer', async () => {
        const upstream = await open();
        const one = client(async () => ({ result: { action: 'accept', content: { name: 'é' } } }));
        expect(await resultOf(call(upstream, 'elicit', {}, { client: one }))).toEqual({
          answer: { action: 'accept', content: { name: 'é' } },
        });
        expect(one.asked).toMatchObject([{ method: 'elicitation/create', params: { message: 'who?' } }]);
        const two = client(async () => ({ error: { code: -1, message: 'no' } }));
        expect(await resultOf(call(upstream, 'elicit', {}, { client: two }))).toEqual({
          answer: { code: -1, message: 'no' },
        });
      });

    if (isLegacy)
      it('does not count the time that the client takes to answer', async () => {
        const upstream = await open();
        const slow = client(
          () => new Promise((resolve) => setTimeout(() => resolve({ result: { action: 'cancel' } }), 1_500)),
        );
        expect(await resultOf(call(upstream, 'elicit', {}, { client: slow, timeoutMs: 400 }))).toEqual({
          answer: { action: 'cancel' },
        });
      });

    if (isLegacy)
      it('gives no answer to a question that the server has taken back', async () => {
        const upstream = await open();
        let answer: (answer: ClientAnswer) => void = () => {};
        const one = client(
          () =>
            new Promise((resolve) => {
              answer = resolve;
            }),
        );
        expect(await resultOf(call(upstream, 'elicit', { takeBack: true }, { client: one }))).toEqual({
          takenBack: true,
        });
        answer({ result: {} });
        await call(upstream, 'echo');
        expect((await receivedBy(upstream)).filter((message) => message.method === undefined)).toEqual([]);
      });

    it('hears of what it watches, and of nothing once it does not', async () => {
      const heard = events();
      const upstream = await open('tsk_a', { events: heard });
      await upstream.watch({ lists: true, resources: ['x://1'] });
      await call(upstream, 'change');
      const first = ['notifications/tools/list_changed', 'notifications/resources/updated'];
      await expect.poll(() => heard.told.slice(0, 2).map((told) => told.method)).toEqual(first);
      expect(heard.told[1]?.params).toEqual({ uri: 'x://1' });
      await upstream.watch({ lists: false, resources: ['x://2'] });
      await upstream.watch({ lists: false, resources: [] });
      const asked = (await receivedBy(upstream)).map(({ method, params }) =>
        method?.startsWith('resources/') ? [method, params?.uri] : method,
      );
      if (isLegacy) {
        expect(asked.filter(Array.isArray)).toEqual([
          ['resources/subscribe', 'x://1'],
          ['resources/unsubscribe', 'x://1'],
          ['resources/subscribe', 'x://2'],
          ['resources/unsubscribe', 'x://2'],
        ]);
      } else expect(asked.filter((method) => method === 'subscriptions/listen')).toHaveLength(2);
    });

    it('says so when the server does not tell of a resource', async () => {
      const upstream = await open();
      await expect(upstream.watch({ lists: false, resources: ['no://1'] })).rejects.toMatchObject({
        code: 'ERR_CONNECTOR_PROTOCOL',
      });
      await upstream.watch({ lists: true, resources: [] });
      expect(await resultOf(call(upstream, 'echo'))).toEqual({ echo: {} });
    });

    it('sends notifications', async () => {
      const upstream = await open();
      upstream.notify('notifications/roots/list_changed', '"reason":"x"');
      await expect
        .poll(async () => (await receivedBy(upstream)).find(({ method }) => method?.startsWith('notifications/roots')))
        .toMatchObject({ params: { reason: 'x' } });
    });

    if (isLegacy)
      it.each(['2026-07-28', '1999-01-01'])('refuses a server that chooses %s', async (version) => {
        await expect(open('tsk_a', { version })).rejects.toMatchObject({ code: 'ERR_CONNECTOR_PROTOCOL' });
      });

    it('L6 shows what a refusing server said, without the credential in it', async () => {
      const error = await open('tsk_a', { version: 'refuse' }).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({
        code: 'ERR_CONNECTOR_PROTOCOL',
        message: expect.stringContaining('no entry with [secret]'),
      });
      expect(JSON.stringify(error)).not.toContain(CANARY);
    });

    it('gives a server that never answers the handshake up', async () => {
      await expect(open('tsk_a', { version: 'silent', timeoutMs: 300 })).rejects.toMatchObject({
        code: 'ERR_CONNECTOR_TIMEOUT',
      });
    });

    it('returns results and errors as the server sent them', async () => {
      const upstream = await open();
      expect(await resultOf(call(upstream, 'echo', { text: 'é 😀 "x"' }))).toEqual({ echo: { text: 'é 😀 "x"' } });
      expect(await call(upstream, 'refuse')).toEqual({
        error: { code: -32001, message: 'refused', data: { why: 'asked to' } },
      });
    });

    it.each([
      ['id first', '{"jsonrpc":"2.0","id":$ID,"result":{"n": 1.0, "big":12345678901234567890}}'],
      ['result first', '{"result":{"n": 1.0, "big":12345678901234567890},"jsonrpc":"2.0","id":$ID}'],
    ])('keeps the text of a result to the byte (%s)', async (_order, text) => {
      const reply = await call(await open(), 'raw', { text });
      expect(reply).toMatchObject({ resultText: '{"n": 1.0, "big":12345678901234567890}', result: { n: 1 } });
    });

    it.each([
      ['result and error', '{"jsonrpc":"2.0","id":$ID,"result":{},"error":{"code":1,"message":"x"}}'],
      ['neither', '{"jsonrpc":"2.0","id":$ID}'],
      ['a result that is no object', '{"jsonrpc":"2.0","id":$ID,"result":[1]}'],
      ['an error without a code', '{"jsonrpc":"2.0","id":$ID,"error":{"message":"x"}}'],
    ])('refuses a reply with %s', async (_what, text) => {
      await expect(call(await open(), 'raw', { text })).rejects.toMatchObject({ code: 'ERR_CONNECTOR_PROTOCOL' });
    });

    it('matches the replies of concurrent requests', async () => {
      const upstream = await open();
      const numbers = Array.from({ length: 50 }, (_, index) => index);
      const results = await Promise.all(
        numbers.map((n) => resultOf(call(upstream, 'echo', { n, delay: (n * 7) % 20 }))),
      );
      expect(results.map((result) => (result.echo as { n: number }).n)).toEqual(numbers);
    });

    it('I1 delivers no reply to a request of another connection, even under its id', async () => {
      const [mine, other] = await Promise.all([open('tsk_a'), open('tsk_b')]);
      let heard: unknown;
      const waiting = call(mine, 'hang').then(
        (reply) => {
          heard = reply;
        },
        () => {},
      );
      expect(await resultOf(call(other, 'foreign'))).toEqual({ own: true });
      expect(await resultOf(call(mine, 'echo', {}))).toEqual({ echo: {} });
      expect(heard).toBeUndefined();
      await mine.close();
      await waiting;
      expect(heard).toBeUndefined();
    });

    it('I1 gives each connection its own credential', async () => {
      const [a, b] = await Promise.all([open('tsk_a', { secret: 'key-of-a' }), open('tsk_b', { secret: 'key-of-b' })]);
      expect(await resultOf(call(a, 'credential'))).toEqual({ credential: 'key-of-a' });
      expect(await resultOf(call(b, 'credential'))).toEqual({ credential: 'key-of-b' });
    });

    it('D4 sends params as one message of the same value, whatever line breaks they hold', async () => {
      const upstream = await open();
      const smuggled = '{"jsonrpc":"2.0","id":"x","method":"smuggled"}';
      const value = { text: `a\u2028${smuggled}\u2029${smuggled}\u0085${smuggled}`, more: [1] };
      const params = `"text":${JSON.stringify(value.text)},\n${'"more"'}:\r[1]\r\n`;
      expect(await resultOf(call(upstream, 'echo', {}, { params }))).toEqual({ echo: value });
      expect((await receivedBy(upstream)).map((message) => message.method)).not.toContain('smuggled');
    });

    it('A09: replies never mix, however many callers use the same connection at once', async () => {
      const upstreams = await Promise.all(['tsk_a', 'tsk_b', 'tsk_c'].map((task) => open(task, { secret: task })));
      const replies = await Promise.all(
        Array.from({ length: 60 }, (_, index) => {
          const which = index % 3;
          const one = call(upstreams[which] as Upstream, index % 2 === 0 ? 'credential' : 'echo', { which });
          return resultOf(one).then((result) => [which, result] as const);
        }),
      );
      for (const [which, result] of replies)
        expect([{ credential: ['tsk_a', 'tsk_b', 'tsk_c'][which] }, { echo: { which } }]).toContainEqual(result);
    });

    it('gives a late reply up, says so to the server, and stays usable (fault 27)', async () => {
      const upstream = await open();
      await expect(call(upstream, 'hang', {}, { timeoutMs: 50 })).rejects.toMatchObject({
        code: 'ERR_CONNECTOR_TIMEOUT',
      });
      await expect.poll(async () => (await receivedBy(upstream)).map(({ method }) => method)).toContain(cancelledBy);
      const messages = await receivedBy(upstream);
      const hung = messages.find((message) => message.method === 'hang');
      const cancelled = messages.find((message) => message.method === cancelledBy);
      expect(cancelled?.params?.requestId ?? cancelled?.id).toBe(hung?.id);
    });

    it('gives a call up when it is cancelled', async () => {
      const upstream = await open();
      const cancellation = new Cancellation();
      const reply = call(upstream, 'hang', {}, { cancellation });
      await expect
        .poll(async () => (await receivedBy(upstream)).some((message) => message.method === 'hang'))
        .toBe(true);
      cancellation.cancel('the task has ended');
      await expect(reply).rejects.toMatchObject({ message: expect.stringContaining('the task has ended') });
      await expect
        .poll(async () => (await receivedBy(upstream)).map((message) => message.method))
        .toContain(cancelledBy);
    });

    it('sends nothing for a call that was given up before', async () => {
      const upstream = await open();
      const cancellation = new Cancellation();
      cancellation.cancel('over');
      await expect(call(upstream, 'echo', {}, { cancellation })).rejects.toThrow('over');
      expect((await receivedBy(upstream)).map((message) => message.method)).not.toContain('echo');
    });

    if (isLegacy)
      it('answers a ping of the server and refuses its other requests', async () => {
        expect(await resultOf(call(await open(), 'ask'))).toEqual({
          ping: { jsonrpc: '2.0', id: 'q1', result: {} },
          sampling: { jsonrpc: '2.0', id: 7, error: { code: -32601, message: expect.any(String) } },
        });
      });

    it('ends what is pending when it is closed, and is of no use afterwards', async () => {
      const upstream = await open();
      const pending = call(upstream, 'hang').catch((error: unknown) => error);
      await Promise.all([upstream.close(), upstream.close()]);
      await upstream.closed;
      expect(await pending).toMatchObject({ code: 'ERR_CONNECTOR_UNREACHABLE' });
      await expect(call(upstream, 'echo')).rejects.toMatchObject({ code: 'ERR_CONNECTOR_UNREACHABLE' });
    });
  });
}
