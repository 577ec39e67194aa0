import { parseArgs } from 'node:util';
import { measureCalls } from './calls.ts';
import { measureDecisions } from './decisions.ts';
import { measureEvents } from './event-streams.ts';
import { measureGrowth } from './growth.ts';
import { measureSessions } from './idle-sessions.ts';
import { measureLarge } from './large-results.ts';
import { measureOpponents } from './opponents.ts';
import { canPin } from './processes.ts';
import { openSetting, type PartResult, type Setting, STORES } from './set-up.ts';

/**
 * `npm run bench`: what Remit costs. The last line has the figures; the exit code is 1 when one of them falls short of what is promised.
 *
 *   --quick            short forms, without opponents: too short to be judged by, so only a part that fails makes the exit code 1
 *   --only a,b         some parts only: calls, decisions, growth, sessions, large, events, opponents
 *   --no-opponents     nothing is fetched from npm
 *   --store postgres   calls, idle sessions and growth with the gateway as a node on a real PostgreSQL
 */
const PARTS: Readonly<Record<string, (setting: Setting) => Promise<PartResult>>> = {
  calls: measureCalls,
  decisions: measureDecisions,
  growth: measureGrowth,
  sessions: measureSessions,
  large: measureLarge,
  events: measureEvents,
  opponents: measureOpponents,
};
/** What differs with the store; everything else has nothing to do with it. */
const OF_THE_STORE: readonly string[] = ['calls', 'growth', 'sessions'];

async function main(): Promise<boolean> {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string' },
      opponents: { type: 'boolean' },
      'no-opponents': { type: 'boolean', default: false },
      store: { type: 'string', default: 'sqlite' },
    },
  });
  const store = STORES.find((name) => name === values.store);
  if (store === undefined) throw new Error(`no store ${values.store}; there are ${STORES.join(', ')}`);
  const withOpponents = values.opponents ?? (!values.quick && !values['no-opponents']);
  const all = store === 'sqlite' ? Object.keys(PARTS) : OF_THE_STORE;
  const wanted = values.only?.split(',') ?? all.filter((name) => name !== 'opponents' || withOpponents);
  const unknown = wanted.filter((name) => !Object.hasOwn(PARTS, name));
  if (unknown.length > 0) throw new Error(`no part ${unknown.join(', ')}; there are ${Object.keys(PARTS).join(', ')}`);

  process.stdout.write(
    `bench: Node ${process.version}; ${canPin ? 'the measured process has core 0' : 'NOT PINNED: taskset is missing'}\n`,
  );
  const setting = await openSetting(values.quick, store);
  const figures: string[] = [];
  const short: string[] = [];
  const failed: string[] = [];
  try {
    for (const name of wanted) {
      const closeFrom = setting.closers.length;
      try {
        const result = await (PARTS[name] as (typeof PARTS)[string])(setting);
        figures.push(result.figure);
        short.push(...result.short);
      } catch (error) {
        failed.push(`${name} failed: ${error instanceof Error ? error.message : String(error)}`);
      }
      await closeAll(setting.closers.splice(closeFrom));
    }
  } finally {
    await closeAll(setting.closers);
  }
  const problems = [...failed, ...(short.length === 0 ? [] : [`SHORT OF: ${short.join('; ')}`])];
  const verdict = problems.length === 0 ? 'all as promised' : problems.join('; ');
  const isJudged = !values.quick;
  process.stdout.write(
    `\nbench: ${figures.join('; ')} — ${verdict}${isJudged ? '' : ' (a short run is not judged)'}\n`,
  );
  return failed.length === 0 && (short.length === 0 || !isJudged);
}

async function closeAll(closers: Setting['closers']): Promise<void> {
  for (const close of [...closers].reverse()) await close().catch(() => {});
}

main().then(
  (isGood) => process.exit(isGood ? 0 : 1),
  (error: unknown) => {
    process.stderr.write(`bench failed: ${error instanceof Error ? error.stack : String(error)}\n`);
    process.exit(1);
  },
);
