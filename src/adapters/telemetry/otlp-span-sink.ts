import { type Link, SpanKind, SpanStatusCode, TraceFlags } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { type Resource, resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, type ReadableSpan, type SpanExporter } from '@opentelemetry/sdk-trace-base';
import { messageOf } from '../../domain/errors.ts';
import type { Clock, Log } from '../../seams/clock.ts';
import type { FinishedSpan, SpanSink } from '../../seams/telemetry.ts';

export interface OtlpOptions {
  /** The collector's endpoint for traces, whole: `https://collector.example/v1/traces`. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** `service.version`. */
  readonly version: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Longest that a span waits for others, in milliseconds; default 2000. */
  readonly delayMs?: number;
  readonly timeoutMs?: number;
}

const MOST_QUEUED = 4_096;
const MOST_AT_ONCE = 512;
/** A collector that is down says the same again and again: once in a while is enough. */
const SAY_EVERY_MS = 60_000;
const CLOSE_MS = 3_000;
const SCOPE = { name: 'remit' };

/**
 * Sends spans over OTLP/HTTP in JSON. Spans are made as finished ones, with the ids of our records; no tracer of the SDK is involved, which
 * would choose ids of its own.
 */
export function createOtlpSpanSink(options: OtlpOptions): SpanSink {
  const { url, headers, version, clock, log, delayMs = 2_000, timeoutMs = 10_000 } = options;
  const resource = resourceFromAttributes({ 'service.name': 'remit', 'service.version': version });
  const exporter = new OTLPTraceExporter({ url, headers: { ...headers }, timeoutMillis: timeoutMs });
  let lost = 0;
  let saidAt = Number.NEGATIVE_INFINITY;
  const counted: SpanExporter = {
    export(spans, done) {
      exporter.export(spans, (result) => {
        if (result.code !== 0) {
          lost += spans.length;
          complain(result.error);
        }
        done(result);
      });
    },
    shutdown: () => exporter.shutdown(),
  };
  const processor = new BatchSpanProcessor(counted, {
    maxQueueSize: MOST_QUEUED,
    maxExportBatchSize: MOST_AT_ONCE,
    scheduledDelayMillis: delayMs,
    exportTimeoutMillis: timeoutMs + 1_000,
  });

  function complain(error: Error | undefined): void {
    const now = clock();
    if (now - saidAt < SAY_EVERY_MS) return;
    saidAt = now;
    log.warn({ collector: new URL(url).host, error: messageOf(error ?? 'refused'), lost }, 'spans were not taken');
  }

  return {
    get lost() {
      return lost;
    },
    send(span) {
      processor.onEnd(toReadable(span, resource));
    },
    async close() {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, CLOSE_MS);
      });
      await Promise.race([processor.shutdown().catch(() => {}), late]);
      clearTimeout(timer);
    },
  };
}

function toReadable(span: FinishedSpan, resource: Resource): ReadableSpan {
  const { trace, parent, link } = span;
  const context = { traceId: trace, spanId: span.span, traceFlags: TraceFlags.SAMPLED };
  const links: Link[] =
    link === undefined
      ? []
      : [{ context: { traceId: link.trace, spanId: link.span, traceFlags: TraceFlags.NONE, isRemote: true } }];
  return {
    name: span.name,
    kind: span.kind === 'server' ? SpanKind.SERVER : SpanKind.INTERNAL,
    spanContext: () => context,
    ...(parent !== undefined && {
      parentSpanContext: { traceId: trace, spanId: parent, traceFlags: TraceFlags.SAMPLED },
    }),
    startTime: hrTime(span.startedAt),
    endTime: hrTime(span.endedAt),
    duration: hrTime(Math.max(0, span.endedAt - span.startedAt)),
    status: { code: span.isError ? SpanStatusCode.ERROR : SpanStatusCode.UNSET },
    attributes: { ...span.attributes },
    links,
    events: [],
    ended: true,
    resource,
    instrumentationScope: SCOPE,
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  };
}

/** Seconds and nanoseconds. */
function hrTime(ms: number): [number, number] {
  const seconds = Math.trunc(ms / 1_000);
  return [seconds, Math.round((ms - seconds * 1_000) * 1_000_000)];
}
