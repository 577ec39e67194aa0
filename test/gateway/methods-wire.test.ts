import { describe, expect, it } from 'vitest';
import { Cancellation } from '../../src/domain/cancellation.ts';
import { RemitError } from '../../src/domain/errors.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import { isRefused } from '../../src/domain/refusal.ts';
import type { ClientRequest } from '../../src/gateway/client-request.ts';
import { handleMethod } from '../../src/gateway/methods/handle-method.ts';
import type { UpstreamReply } from '../../src/seams/upstream.ts';
import {
  type FakeGateway,
  type FakeOptions,
  makeClientRequest,
  makeGateway,
  makeItem,
  makeTask,
} from '../support/fake-gateway-parts.ts';

const call = (args: JsonObject = {}, more: Partial<ClientRequest> = {}, params: JsonObject = {}) =>
  makeClientRequest('tools/call', { name: 'shop__orders', arguments: args, ...params }, more);

async function serve(fake: FakeGateway, request: ClientRequest) {
  const { reply, recordOutcome } = await handleMethod(fake.gateway, fake.caller(), request);
  return { reply, recordOutcome: recordOutcome ?? (() => {}) };
}

const outcome = ({ records }: FakeGateway) => records.at(-1)?.detail;

describe('what a connector gets', () => {
  it('A14 nothing that a client put into _meta: progress and trace are the gateway’s own', async () => {
    const fake = makeGateway();
    const _meta = { traceparent: '00-evil', tenant: 'other', role: 'admin', progressToken: 'mine', 'io.x/y': 1 };
    await serve(fake, call({ id: 1 }, { progressToken: 'mine' }, { _meta, extra: 'x' }));
    expect(JSON.parse(fake.forwarded[0] as string)).toEqual({
      name: 'orders',
      arguments: { id: 1 },
      _meta: { traceparent: expect.stringMatching(/^00-0{32}-[0-9a-f]{16}-01$/) },
    });
    expect(fake.calls[0]?.progressToken).toBe(fake.records[0]?.span);
    expect(fake.forwarded[0]).not.toMatch(/evil|admin|mine|extra/);
  });

  it('fault 32: progress comes back under the client’s own token; without one it does not; other notifications stay away', async () => {
    const reply: FakeOptions['reply'] = async (_, __, { client, progressToken }) => {
      client?.notify('notifications/progress', { progressToken, progress: 1, message: 'a\u200bb', _meta: { x: 1 } });
      client?.notify('notifications/message', { level: 'info', data: 'secret of tsk_told' });
      client?.notify('notifications/tools/list_changed', {});
      return { result: {}, resultText: '{}' };
    };
    const fake = makeGateway({ reply, tasks: [makeTask('tsk_told')] });
    const request = call({}, { progressToken: 7 });
    await serve(fake, request);
    expect(request.told).toEqual([
      ['notifications/progress', { progressToken: 7, progress: 1, message: 'ab' }],
      // L6
      ['notifications/message', { level: 'info', data: expect.stringContaining('withheld by Remit') }],
    ]);
    const silent = call();
    await serve(fake, silent);
    expect(silent.told.map(([method]) => method)).toEqual(['notifications/message']);
  });

  it('A15 headers for arguments, but none for one that carries a secret; the shown schema agrees', async () => {
    const inputSchema = {
      type: 'object',
      properties: {
        region: { type: 'string', 'x-mcp-header': 'Region' },
        apiKey: { type: 'string', 'x-mcp-header': 'Key' },
        nested: { type: 'object', properties: { n: { type: 'integer', 'x-mcp-header': 'N' } } },
      },
    };
    const fake = makeGateway({ tools: [makeItem('tool', 'orders', { raw: { inputSchema } })] });
    const args = { region: 'eu', apiKey: 'sk-1', nested: { n: 4 } };
    await serve(fake, call(args, { era: 'modern' }));
    expect(fake.calls[0]).toMatchObject({
      name: 'orders',
      paramHeaders: ['Mcp-Param-Region', 'eu', 'Mcp-Param-N', '4'],
    });
    expect(fake.logged.join()).toContain('carry a secret');
    const { reply } = await serve(fake, makeClientRequest('tools/list'));
    const text = 'resultText' in reply ? reply.resultText : '';
    expect(text).toContain('"x-mcp-header":"Region"');
    expect(text).not.toContain('"x-mcp-header":"Key"');
    await serve(fake, call(args));
    expect(fake.calls[1]).toMatchObject({ name: undefined, paramHeaders: undefined });
  });

  it('D4 a prompt’s arguments are texts, and a resource’s only member is its URI', async () => {
    const fake = makeGateway({ tools: [makeItem('prompt', 'p'), makeItem('resource', 'docs://*')] });
    const refused = await serve(
      fake,
      makeClientRequest('prompts/get', { name: 'shop__p', arguments: { a: { b: 1 } } }),
    );
    expect(refused.reply).toMatchObject({ error: { code: -32602 } });
    await serve(fake, makeClientRequest('prompts/get', { name: 'shop__p', arguments: { a: 'x' }, more: 1 }));
    await serve(fake, makeClientRequest('resources/read', { uri: 'docs://a', path: '/etc' }));
    expect(fake.calls.map(({ method, params }) => [method, params])).toEqual([
      ['prompts/get', '"name":"p","arguments":{"a":"x"}'],
      ['resources/read', '"uri":"docs://a"'],
    ]);
  });

  it('A17 a modern retry’s state is the connector’s own again; a foreign one is refused before anything is decided', async () => {
    const round = { resultType: 'input_required', requestState: 'its own' };
    let replies = 0;
    const fake = makeGateway({
      reply: async () => {
        const result = replies++ === 0 ? round : { resultType: 'complete', content: [] };
        return { result, resultText: JSON.stringify(result) };
      },
    });
    const first = await serve(fake, call({ id: 1 }, { era: 'modern' }));
    const { requestState } = JSON.parse('resultText' in first.reply ? first.reply.resultText : '{}');
    expect(requestState).not.toContain('its own');
    await serve(fake, call({ id: 1 }, { era: 'modern' }, { requestState, inputResponses: {} }));
    expect(fake.calls[1]?.params).toBe(
      '"name":"orders","arguments":{"id":1},"inputResponses":{},"requestState":"its own"',
    );
    expect(fake.records.filter(({ type }) => type === 'decision')[1]?.detail.resumes).toBe('input_required');
    const before = fake.records.length;
    const changed = await serve(fake, call({ id: 2 }, { era: 'modern' }, { requestState, inputResponses: {} }));
    expect(isRefused(changed.reply)).toBe(true);
    expect(fake.records.length).toBe(before);
    expect(fake.calls).toHaveLength(2);
  });
});

describe('outcomes are precise', () => {
  const broken = new RemitError('ERR_CONNECTOR_UNREACHABLE', 'gone');

  it('not_forwarded when the connection could not be opened', async () => {
    const fake = makeGateway({ open: () => Promise.reject(broken) });
    const { reply, recordOutcome } = await serve(fake, call());
    recordOutcome();
    expect(outcome(fake)).toMatchObject({ status: 'not_forwarded', problem: 'ERR_CONNECTOR_UNREACHABLE' });
    expect(reply).toMatchObject({
      refusal: { isForwarded: false, nextStep: expect.stringContaining('Nothing was sent') },
    });
  });

  it('unknown when it broke off after it was sent', async () => {
    const fake = makeGateway({ reply: () => Promise.reject(broken) });
    (await serve(fake, call())).recordOutcome();
    expect(outcome(fake)).toMatchObject({ status: 'unknown' });
  });

  const unsent = new RemitError('ERR_CONNECTOR_UNREACHABLE', 'the connection was closed', { isUnsent: true });

  it('not_forwarded when the connection was open and nothing was written to it', async () => {
    const fake = makeGateway({ reply: () => Promise.reject(unsent) });
    const { reply, recordOutcome } = await serve(fake, call());
    recordOutcome();
    expect(outcome(fake)).toMatchObject({ status: 'not_forwarded', problem: 'ERR_CONNECTOR_UNREACHABLE' });
    expect(reply).toMatchObject({
      refusal: { isForwarded: false, nextStep: expect.stringContaining('Nothing was sent') },
    });
  });

  it('not_forwarded, and no word of trying again, when it was cancelled while it waited to be written', async () => {
    const cancellation = new Cancellation();
    const fake = makeGateway({
      reply: async () => {
        cancellation.cancel('the client went');
        throw unsent;
      },
    });
    const { reply, recordOutcome } = await serve(fake, call({}, { cancellation }));
    recordOutcome();
    expect(outcome(fake)).toMatchObject({ status: 'not_forwarded' });
    expect(reply).toMatchObject({ refusal: { nextStep: 'Nothing was sent.' } });
  });

  it('cancelled, with unknown effect, when the client gave it up', async () => {
    const cancellation = new Cancellation();
    const fake = makeGateway({
      reply: async () => {
        cancellation.cancel('the client went');
        throw broken;
      },
    });
    (await serve(fake, call({}, { cancellation }))).recordOutcome();
    expect(outcome(fake)).toMatchObject({ status: 'cancelled', effect: 'unknown' });
  });

  it('not_forwarded when it was cancelled before it was sent', async () => {
    const cancellation = new Cancellation();
    const fake = makeGateway({ open: async () => cancellation.cancel('gone') });
    (await serve(fake, call({}, { cancellation }))).recordOutcome();
    expect(fake.forwarded).toEqual([]);
    expect(outcome(fake)).toMatchObject({ status: 'not_forwarded' });
  });
});

describe('a large result', () => {
  const chunked = (...parts: string[]): UpstreamReply => ({
    resultChunks: (async function* () {
      for (const part of parts) yield Buffer.from(part);
    })(),
  });

  async function read(parts: string[], options: FakeOptions = {}, until = Number.POSITIVE_INFINITY) {
    const fake = makeGateway({ tasks: [makeTask('tsk_large')], reply: async () => chunked(...parts), ...options });
    const { reply, recordOutcome } = await serve(fake, call());
    if (!('resultChunks' in reply)) throw new Error('not large');
    expect(fake.records.some(({ type }) => type === 'outcome')).toBe(false);
    expect(fake.underWay()).toBe(1);
    const seen: string[] = [];
    let fault: unknown;
    try {
      for await (const chunk of reply.resultChunks) {
        seen.push(chunk.toString());
        if (seen.length === until) break;
      }
    } catch (error) {
      fault = error;
    }
    recordOutcome();
    expect(fake.records.filter(({ type }) => type === 'outcome')).toHaveLength(1);
    expect(fake.underWay()).toBe(0);
    return { fake, text: seen.join(''), fault };
  }

  it('passes piece by piece, is counted and hashed, and its outcome is recorded when it has passed', async () => {
    const { fake, text } = await read(['{"content":', '[]}']);
    expect(text).toBe('{"content":[]}');
    expect(outcome(fake)).toMatchObject({
      status: 'ok',
      resultBytes: 14,
      resultDigest: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
  });

  it.each([
    ['whole', ['{"a":"secret of tsk_large"}']],
    ['over two pieces', ['{"a":"secret of t', 'sk_large"}']],
    ['a character a piece', [...'{"a":"secret of tsk_large"}']],
    ['behind escapes', ['{"a":"\\u0073ecret of \\u0074sk_l', 'arge"}']],
    ['behind escapes that are cut', ['{"a":"secret of \\u00', '74sk_large"}']],
  ])('L6 fail closed: a credential in it, %s, breaks it off before it is complete', async (_, parts) => {
    const { fake, text, fault } = await read(parts);
    expect(fault).toMatchObject({ code: 'ERR_CONNECTOR_PROTOCOL' });
    expect(String(fault)).not.toContain('tsk_large');
    expect(JSON.stringify(text)).not.toContain('secret of tsk_large');
    expect(text.endsWith('arge"}')).toBe(false);
    expect(outcome(fake)).toMatchObject({ status: 'unknown' });
  });

  it('cut off by its reader, or never read: unknown', async () => {
    const { fake } = await read(['{"a":', '1}'], {}, 1);
    expect(outcome(fake)).toMatchObject({ status: 'unknown', resultBytes: 5 });
    const unread = makeGateway({ reply: async () => chunked('{}') });
    (await serve(unread, call())).recordOutcome();
    expect(outcome(unread)).toMatchObject({ status: 'unknown' });
    expect(unread.underWay()).toBe(0);
  });
});
