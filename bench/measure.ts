import { closeSync, fdatasync, openSync, rmSync, write } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { median, percentile, runLoad, type Target } from './load.ts';
import { canPin, coreUs, cpuUs, MEASURED_CORE } from './processes.ts';

export interface Variant extends Target {
  readonly pid: number;
  readonly value: (index: number) => string;
  /** CPU time so far of what works for it elsewhere and is not counted as its own, in microseconds: its database. */
  readonly elsewhereUs?: () => number;
}

export interface Sample {
  readonly cpuUs: number;
  /** A call, of `elsewhereUs`. */
  readonly elsewhereUs: number | undefined;
  readonly rps: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  /** Share of the measured core that went to other processes. */
  readonly disturbed: number;
}

export interface Rounds {
  readonly rows: readonly (readonly Sample[])[];
  readonly discarded: number;
  /** Whether every round was disturbed: the least disturbed ones are shown then, and say less. */
  readonly isNoisy: boolean;
}

/** More than this of the measured core for others spoils a round. */
const MOST_DISTURBED = 0.05;
/** What the core has used is told in ticks of 10 ms: one of them, and one for the rounding, is no disturbance. */
const RESOLUTION_US = 20_000;

/**
 * Measures all variants in turn, again and again (A B C A B C …), until `count` rounds were undisturbed or three times as many were run.
 */
export async function interleave(
  variants: readonly Variant[],
  options: { count: number; calls: number; concurrency: number; between?: () => Promise<void> },
): Promise<Rounds> {
  const all: Sample[][] = [];
  const quiet: Sample[][] = [];
  while (quiet.length < options.count && all.length < options.count * 3) {
    const row: Sample[] = [];
    for (const variant of variants) row.push(await measure(variant, options.calls, options.concurrency));
    await options.between?.();
    all.push(row);
    if (disturbance(row) <= MOST_DISTURBED) quiet.push(row);
  }
  if (quiet.length > 0) return { rows: quiet, discarded: all.length - quiet.length, isNoisy: false };
  const calmest = [...all].sort((a, b) => disturbance(a) - disturbance(b)).slice(0, options.count);
  return { rows: calmest, discarded: all.length - calmest.length, isNoisy: true };
}

const disturbance = (row: readonly Sample[]): number => Math.max(...row.map((sample) => sample.disturbed));

export async function measure(variant: Variant, calls: number, concurrency: number): Promise<Sample> {
  const coreBefore = coreUs(MEASURED_CORE);
  const [before, elsewhereBefore] = [cpuUs(variant.pid), variant.elsewhereUs?.()];
  const { wallMs, latencies } = await runLoad(variant, { calls, concurrency, value: variant.value });
  const used = cpuUs(variant.pid) - before;
  const others = coreUs(MEASURED_CORE) - coreBefore - used - RESOLUTION_US;
  return {
    cpuUs: used / calls,
    elsewhereUs: elsewhereBefore === undefined ? undefined : ((variant.elsewhereUs?.() ?? 0) - elsewhereBefore) / calls,
    rps: (calls * 1000) / wallMs,
    p50: percentile(latencies, 0.5),
    p99: percentile(latencies, 0.99),
    // Not pinned, the core belongs to nobody and this says nothing.
    disturbed: canPin ? Math.max(0, others) / (wallMs * 1000) : 0,
  };
}

export function report(title: string, variants: readonly Variant[], { rows, discarded, isNoisy }: Rounds): string {
  const isElsewhere = variants.some((variant) => variant.elsewhereUs !== undefined);
  const lines = [
    `\n${title.padEnd(22)} CPU µs/call (min–max)   ratio   calls/s   p50 ms   p99 ms${isElsewhere ? '   database µs/call' : ''}   (${rows.length} rounds, ${discarded} discarded${isNoisy ? ', ALL DISTURBED' : ''})`,
  ];
  variants.forEach((variant, index) => {
    const column = rows.map((row) => row[index] as Sample);
    const cpu = column.map((sample) => sample.cpuUs);
    const of = (pick: (sample: Sample) => number): number => median(column.map(pick));
    lines.push(
      [
        variant.name.padEnd(22),
        `${median(cpu).toFixed(0).padStart(5)} (${Math.min(...cpu).toFixed(0)}–${Math.max(...cpu).toFixed(0)})`.padEnd(
          24,
        ),
        `${ratioOf(rows, index).toFixed(2)}×`.padEnd(7),
        of((sample) => sample.rps)
          .toFixed(0)
          .padStart(7),
        of((sample) => sample.p50)
          .toFixed(2)
          .padStart(8),
        of((sample) => sample.p99)
          .toFixed(2)
          .padStart(8),
        variant.elsewhereUs === undefined
          ? ''
          : of((sample) => sample.elsewhereUs ?? 0)
              .toFixed(0)
              .padStart(18),
      ].join(' '),
    );
  });
  return lines.join('\n');
}

/** CPU of a variant against the first one, round by round. */
export function ratioOf(rows: Rounds['rows'], index: number): number {
  return median(rows.map((row) => (row[index] as Sample).cpuUs / (row[0] as Sample).cpuUs));
}

const writeBytes = promisify(write);
const sync = promisify(fdatasync);

/** How long one durable append of a record's size takes here, in milliseconds: the median of `count`. */
export async function fsyncMs(folder: string, count: number): Promise<number> {
  const path = join(folder, 'fsync-probe');
  const fd = openSync(path, 'a');
  const bytes = Buffer.alloc(2_048, 'x');
  const took: number[] = [];
  try {
    for (let index = 0; index < count; index += 1) {
      const startedAt = performance.now();
      await writeBytes(fd, bytes, 0, bytes.length, null);
      await sync(fd);
      took.push(performance.now() - startedAt);
    }
  } finally {
    closeSync(fd);
    rmSync(path, { force: true });
  }
  return median(took);
}
