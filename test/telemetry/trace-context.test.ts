import { describe, expect, it } from 'vitest';
import { readTraceparent } from '../../src/domain/trace-context.ts';
import { handleMethod } from '../../src/gateway/methods/handle-method.ts';
import { makeClientRequest, makeGateway } from '../support/fake-gateway-parts.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const SPAN = 'b7ad6b7169203331';
const PARENT = `00-${TRACE}-${SPAN}-01`;

describe('traceparent', () => {
  it('is read as W3C writes it', () => {
    expect(readTraceparent(PARENT)).toEqual({ trace: TRACE, span: SPAN });
    expect(readTraceparent(`cc-${TRACE}-${SPAN}-01-what-the-future-holds`)).toEqual({ trace: TRACE, span: SPAN });
  });

  it.each([
    undefined,
    7,
    '',
    PARENT.toUpperCase(),
    `${PARENT}-more`,
    `ff-${TRACE}-${SPAN}-01`,
    `00-${'0'.repeat(32)}-${SPAN}-01`,
    `00-${TRACE}-${'0'.repeat(16)}-01`,
    `00-${TRACE}-${SPAN}`,
    `cc-${TRACE}-${SPAN}-01-${'x'.repeat(300)}`,
    `00-${TRACE}-${SPAN}-01\n`,
  ])('is none: %j', (text) => {
    expect(readTraceparent(text)).toBeUndefined();
  });
});

describe('the trace of a client', () => {
  async function decided(params: object, traceparent?: string) {
    const fake = makeGateway();
    const request = makeClientRequest(
      'tools/call',
      { name: 'shop__orders', arguments: { id: 1 }, ...params },
      { traceparent },
    );
    await handleMethod(fake.gateway, fake.caller(), request);
    const record = fake.records.find(({ type }) => type === 'decision');
    return { record, detail: detailOf(record?.detail), upstream: fake.forwarded[0] };
  }
  const detailOf = (detail: unknown) =>
    (typeof detail === 'string' ? JSON.parse(detail) : detail) as Record<string, unknown>;

  it('A2 is a link of the decision, and never becomes ours', async () => {
    const { record, detail } = await decided({ _meta: { traceparent: PARENT } });
    expect(detail.link).toEqual({ trace: TRACE, span: SPAN });
    expect(record?.trace).not.toBe(TRACE);
    expect(record?.span).not.toBe(SPAN);
  });

  it('comes by a header too; what a message says of itself goes before it', async () => {
    expect((await decided({}, PARENT)).detail.link).toEqual({ trace: TRACE, span: SPAN });
    const other = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-00`;
    expect((await decided({ _meta: { traceparent: PARENT } }, other)).detail.link).toEqual({
      trace: TRACE,
      span: SPAN,
    });
  });

  it('that is malformed is passed over', async () => {
    expect((await decided({ _meta: { traceparent: '","verdict":"permit' } })).detail).not.toHaveProperty('link');
    expect((await decided({}, 'nonsense')).detail).not.toHaveProperty('link');
    expect((await decided({})).detail).not.toHaveProperty('link');
  });
});
