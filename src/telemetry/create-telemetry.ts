import { messageOf } from '../domain/errors.ts';
import type { Log } from '../seams/clock.ts';
import type { Metrics, SpanSink, Telemetry } from '../seams/telemetry.ts';
import { callSpan, taskSpan } from './render-span.ts';

/** One telemetry out of what is configured; undefined when nothing is, which is then all that it costs. */
export function createTelemetry(parts: {
  spans: SpanSink | undefined;
  metrics: Metrics | undefined;
  log: Log;
}): Telemetry | undefined {
  const { spans, metrics, log } = parts;
  if (spans === undefined && metrics === undefined) return undefined;
  let hasFailed = false;

  /** A fault of ours here must cost a span, and not a call. */
  function attempt(tell: () => void): void {
    try {
      tell();
    } catch (error) {
      if (!hasFailed) log.error({ error: messageOf(error) }, 'telemetry has a fault: calls go on without it');
      hasFailed = true;
    }
  }

  return {
    call(observed) {
      if (metrics !== undefined) attempt(() => metrics.call(observed));
      if (spans !== undefined) attempt(() => spans.send(callSpan(observed)));
    },
    task(task, reason, endedAt) {
      if (metrics !== undefined) attempt(() => metrics.task(reason));
      if (spans !== undefined) attempt(() => spans.send(taskSpan(task, reason, endedAt)));
    },
  };
}
