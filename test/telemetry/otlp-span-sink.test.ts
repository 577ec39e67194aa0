import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createOtlpSpanSink } from '../../src/adapters/telemetry/otlp-span-sink.ts';
import type { SpanSink } from '../../src/seams/telemetry.ts';
import { createTelemetry } from '../../src/telemetry/create-telemetry.ts';
import { callSpan } from '../../src/telemetry/render-span.ts';
import { type FakeCollector, startCollector } from '../support/fake-otlp-collector.ts';
import { CALL } from './samples.ts';

let collector: FakeCollector;
const said: unknown[] = [];
const log = {
  debug() {},
  info() {},
  warn: (...told: unknown[]) => void said.push(told),
  error: (...told: unknown[]) => void said.push(told),
};

function open(url = collector.url): SpanSink {
  return createOtlpSpanSink({
    url,
    headers: { authorization: 'Bearer canary-of-the-collector' },
    version: '0.1.0',
    clock: () => 0,
    log,
    delayMs: 10,
    timeoutMs: 1_000,
  });
}

beforeEach(async () => {
  collector = await startCollector();
  said.length = 0;
});
afterEach(() => collector.close());

describe('spans over OTLP', () => {
  it('A2 arrive with the ids of our records, their parent and the client’s link', async () => {
    const sink = open();
    sink.send(callSpan({ ...CALL, link: { trace: 'a'.repeat(32), span: 'b'.repeat(16) }, status: 'tool_error' }));
    await sink.close();
    expect(collector.spans).toHaveLength(1);
    expect(collector.spans[0]).toMatchObject({
      name: 'tools/call query',
      traceId: CALL.trace,
      spanId: CALL.span,
      parentSpanId: CALL.trace.slice(0, 16),
      kind: 2,
      startTimeUnixNano: '1000000000',
      endTimeUnixNano: '1250000000',
      status: { code: 2 },
      attributes: { 'error.type': 'tool_error', 'gen_ai.tool.name': 'query' },
      links: [{ traceId: 'a'.repeat(32), spanId: 'b'.repeat(16) }],
    });
    expect(collector.resource()).toMatchObject({ 'service.name': 'remit', 'service.version': '0.1.0' });
    expect(collector.headers[0]?.authorization).toBe('Bearer canary-of-the-collector');
  });

  it('L6 that a collector refuses are counted and said once, without the secret', async () => {
    collector.answer(400);
    const sink = open();
    for (let n = 0; n < 3; n++) sink.send(callSpan(CALL));
    await sink.close();
    expect(sink.lost).toBe(3);
    expect(said).toHaveLength(1);
    expect(JSON.stringify(said)).not.toContain('canary-of-the-collector');
  });

  it('I3 do not hold up a stop when nobody is there', async () => {
    const sink = open('http://127.0.0.1:9/v1/traces');
    sink.send(callSpan(CALL));
    const begun = performance.now();
    await sink.close();
    expect(performance.now() - begun).toBeLessThan(8_000);
  });
});

describe('telemetry', () => {
  it('is not there unless something is configured', () => {
    expect(createTelemetry({ spans: undefined, metrics: undefined, log })).toBeUndefined();
  });

  it('never fails a call', () => {
    const fault = (): never => {
      throw new Error('broken');
    };
    const telemetry = createTelemetry({
      spans: { send: fault, lost: 0, close: async () => {} },
      metrics: {
        call: fault,
        signal: () => {},
        letThrough: () => {},
        shadow: () => {},
        task: () => {},
        approval: () => {},
        appended: fault,
        render: fault,
      },
      log,
    });
    telemetry?.call(CALL);
    telemetry?.call(CALL);
    expect(said).toHaveLength(1);
  });
});
