import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { connectorId, taskId } from '../../src/domain/ids.ts';
import { Secret } from '../../src/domain/secret.ts';
import type { CredentialInjection, Upstream, UpstreamOpener, UpstreamReply } from '../../src/seams/upstream.ts';

/**
 * What every implementation of `UpstreamOpener` must do. The fixture's server has the methods of
 * test/support/fake-mcp-behaviour.mjs.
 */
export interface UpstreamFixture {
  /** An opener whose server answers the handshake with `version`; `silent` and `refuse` are versions too. */
  opener(version: string): UpstreamOpener;
  /** Injects `value` where the server reports it as its credential. */
  injection(value: Secret): CredentialInjection;
  dispose(): Promise<void>;
}

const CANARY = 'canary-5b1d7f20c3';

export function upstreamSuite(name: string, makeFixture: () => Promise<UpstreamFixture>): void {
  describe(`${name} as an Upstream`, () => {
    let fixture: UpstreamFixture;
    beforeEach(async () => {
      fixture = await makeFixture();
    });
    afterEach(() => fixture.dispose());

    async function open(
      task = 'tsk_a',
      options: { version?: string; secret?: string; timeoutMs?: number } = {},
    ): Promise<Upstream> {
      const { version = '2025-06-18', secret = CANARY, timeoutMs = 10_000 } = options;
      return await fixture.opener(version).open({
        connector: connectorId('fake'),
        task: taskId(task),
        injection: fixture.injection(new Secret(secret)),
        timeoutMs,
      });
    }

    const call = (
      upstream: Upstream,
      method: string,
      params: unknown = {},
      signal?: AbortSignal,
    ): Promise<UpstreamReply> =>
      upstream.request(method, JSON.stringify(params), {
        timeoutMs: 10_000,
        ...(signal === undefined ? {} : { signal }),
      });

    async function resultOf(reply: Promise<UpstreamReply>): Promise<Record<string, unknown>> {
      const settled = await reply;
      if ('error' in settled) throw new Error(`unexpected error ${settled.error.message}`);
      expect(JSON.parse(settled.resultText)).toEqual(settled.result);
      return settled.result;
    }

    async function receivedBy(
      upstream: Upstream,
    ): Promise<{ method?: string; params?: Record<string, unknown>; id?: unknown }[]> {
      return (await resultOf(call(upstream, 'received'))).messages as [];
    }

    it.each(['2024-10-07', '2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25'])(
      'opens with a server of %s',
      async (version) => {
        const upstream = await open('tsk_a', { version });
        const messages = await receivedBy(upstream);
        expect(messages.map((message) => message.method)).toEqual([
          'initialize',
          'notifications/initialized',
          'received',
        ]);
        expect(messages[0]?.params).toMatchObject({
          protocolVersion: '2025-11-25',
          clientInfo: { name: 'remit-test' },
        });
      },
    );

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
      const params = `{"text":${JSON.stringify(value.text)},\n${'"more"'}:\r[1]\r\n}`;
      const reply = await upstream.request('echo', params, { timeoutMs: 10_000 });
      expect(reply).toMatchObject({ result: { echo: value } });
      expect((await receivedBy(upstream)).map((message) => message.method)).not.toContain('smuggled');
    });

    it('gives a late reply up, says so to the server, and stays usable', async () => {
      const upstream = await open();
      await expect(upstream.request('hang', '{}', { timeoutMs: 50 })).rejects.toMatchObject({
        code: 'ERR_CONNECTOR_TIMEOUT',
      });
      await expect.poll(async () => (await receivedBy(upstream)).at(-2)?.method).toBe('notifications/cancelled');
      const messages = await receivedBy(upstream);
      const hung = messages.find((message) => message.method === 'hang');
      const cancelled = messages.find((message) => message.method === 'notifications/cancelled');
      expect(cancelled?.params?.requestId).toBe(hung?.id);
    });

    it('gives a call up when its signal aborts', async () => {
      const upstream = await open();
      const abort = new AbortController();
      const reason = new Error('the task has ended');
      const reply = call(upstream, 'hang', {}, abort.signal);
      await expect
        .poll(async () => (await receivedBy(upstream)).some((message) => message.method === 'hang'))
        .toBe(true);
      abort.abort(reason);
      await expect(reply).rejects.toBe(reason);
      await expect
        .poll(async () => (await receivedBy(upstream)).map((message) => message.method))
        .toContain('notifications/cancelled');
    });

    it('sends nothing for a call that was given up before', async () => {
      const upstream = await open();
      await expect(call(upstream, 'echo', {}, AbortSignal.abort(new Error('over')))).rejects.toThrow('over');
      expect((await receivedBy(upstream)).map((message) => message.method)).not.toContain('echo');
    });

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
