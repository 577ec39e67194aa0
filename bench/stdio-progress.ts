import { callWithProgress } from './call-with-progress.ts';
import { median } from './load.ts';
import type { Variant } from './measure.ts';

const EVENTS = 50;

/** What a progress notification of a stdio server costs on its way to the client, of those that get there. */
export interface ProgressCost {
  readonly name: string;
  /** CPU microseconds of what stands in front, by events that the server sent: with their share of the call. */
  readonly eventUs: number;
  /** Of the events that were sent, how many came to the client with the call that asked for them: 0 to 1. */
  readonly arrived: number;
}

/** Calls that send progress, in turns at each of those that are compared; the first turn warms up. */
export async function measureProgress(
  variants: readonly Variant[],
  options: { readonly calls: number; readonly rounds: number },
): Promise<ProgressCost[]> {
  const samples: Omit<ProgressCost, 'name'>[][] = variants.map(() => []);
  for (let round = -1; round < options.rounds; round += 1) {
    for (const [index, variant] of variants.entries()) {
      const sample = await callAll(variant, options.calls);
      if (round >= 0) samples[index]?.push(sample);
    }
  }
  return variants.map(({ name }, index) => {
    const column = samples[index] ?? [];
    return {
      name,
      eventUs: median(column.map((sample) => sample.eventUs)),
      arrived: median(column.map((sample) => sample.arrived)),
    };
  });
}

async function callAll(target: Variant, calls: number): Promise<Omit<ProgressCost, 'name'>> {
  const { usedUs, arrived } = await callWithProgress(target, { calls, events: EVENTS, mustArrive: false });
  const sent = calls * EVENTS;
  return { eventUs: usedUs / sent, arrived: arrived / sent };
}
