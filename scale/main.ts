import { parseArgs } from 'node:util';
import { startNode } from '../bench/processes.ts';
import { measureGrowth } from './growth.ts';
import { measureProcesses } from './processes.ts';
import { measureRevocation } from './revocation.ts';

/**
 * `npm run scale`: what several gateways on one PostgreSQL do, and what a large estate costs. The last line has the figures; the exit code is 1 when
 * one of them falls short.
 *
 *   --quick     short forms
 *   --only a,b  some parts only: processes, revocation, growth
 */
export interface Setting {
  readonly isQuick: boolean;
  readonly toolsPort: number;
  readonly say: (text: string) => void;
}

export interface PartResult {
  /** For the last line. */
  readonly figure: string;
  readonly short: readonly string[];
}

const PARTS: Readonly<Record<string, (setting: Setting) => Promise<PartResult>>> = {
  processes: measureProcesses,
  revocation: measureRevocation,
  growth: measureGrowth,
};

async function main(): Promise<boolean> {
  const { values } = parseArgs({
    options: { quick: { type: 'boolean', default: false }, only: { type: 'string' } },
  });
  const wanted = values.only?.split(',') ?? Object.keys(PARTS);
  const unknown = wanted.filter((name) => !Object.hasOwn(PARTS, name));
  if (unknown.length > 0) throw new Error(`no part ${unknown.join(', ')}; there are ${Object.keys(PARTS).join(', ')}`);
  const tools = await startNode(['dist/scale/fake-many-tools.js']);
  const say = (text: string): void => void process.stdout.write(`${text}\n`);
  const setting = { isQuick: values.quick, toolsPort: Number(tools.ready.port), say };
  const results: PartResult[] = [];
  try {
    for (const name of wanted) results.push(await (PARTS[name] as (typeof PARTS)[string])(setting));
  } finally {
    await tools.stop();
  }
  const short = results.flatMap((result) => result.short);
  for (const one of short) say(`FALLS SHORT: ${one}`);
  say(`scale: ${results.map(({ figure }) => figure).join('; ')}`);
  return values.quick || short.length === 0;
}

main().then(
  (isGood) => process.exit(isGood ? 0 : 1),
  (error: unknown) => {
    process.stderr.write(`scale failed: ${error instanceof Error ? error.stack : String(error)}\n`);
    process.exit(1);
  },
);
