import { randomBytes } from 'node:crypto';
import { pino } from 'pino';
import type { RandomBytes } from '../domain/ids.ts';
import { printable } from '../domain/visible-text.ts';
import type { Clock, Log, Schedule } from '../seams/clock.ts';
import { dampLog } from './damp-log.ts';

/** The real clock, randomness, timers and log: everything that tests replace. */
export interface System {
  readonly clock: Clock;
  /** Milliseconds since some moment; never set, so that lengths of time can be told by it. */
  readonly monotonic: Clock;
  readonly random: RandomBytes;
  readonly schedule: Schedule;
  readonly log: Log;
  readonly environment: (name: string) => string | undefined;
  /** A line for the person at the terminal that runs this process; undefined where nobody sits at one. Never a log. */
  readonly terminal?: (line: string) => void;
}

/** Random bytes drawn ahead: a call needs 20 of them, and one system call for each would cost more than using them. */
const POOL_BYTES = 4096;

/** `randomBytes` out of a pool; bytes are handed out once and wiped behind. */
function pooledRandom(): RandomBytes {
  let pool = Buffer.alloc(0);
  let next = 0;
  return (size) => {
    if (size > 64) return randomBytes(size);
    if (next + size > pool.length) {
      pool = randomBytes(POOL_BYTES);
      next = 0;
    }
    const bytes = Buffer.from(pool.subarray(next, next + size));
    pool.fill(0, next, next + size);
    next += size;
    return bytes;
  };
}

const SPAN_DIGITS = 16;

/** Makes W3C span ids (8 random bytes in hex), many at a time: a call takes one. */
export function spanSource(random: RandomBytes): () => string {
  let ids = '';
  let next = 0;
  return () => {
    if (next === ids.length) {
      ids = Buffer.from(random(1_024)).toString('hex');
      next = 0;
    }
    next += SPAN_DIGITS;
    return ids.slice(next - SPAN_DIGITS, next);
  };
}

/** Longest delay that a Node timer takes; longer ones are waited for in steps. */
const MAX_DELAY_MS = 2 ** 31 - 1;

const schedule: Schedule = (ms, task) => {
  const timer = setTimeout(task, Math.min(Math.max(ms, 0), MAX_DELAY_MS));
  // A timer for an expiry must not keep a finished command alive.
  timer.unref();
  return () => clearTimeout(timer);
};

/** Names of fields that are never written, wherever they stand in a log line (guarantee L6). */
const REDACTED = ['password', 'token', 'secret', 'authorization', 'credential', 'key'].flatMap((name) => [
  name,
  `*.${name}`,
]);

export function createSystem(options: { log: 'pretty' | 'json' | 'silent'; level?: string }): System {
  return {
    clock: Date.now,
    monotonic: () => performance.now(),
    random: pooledRandom(),
    schedule,
    log: dampLog(createLog(options.log, options.level ?? 'info'), schedule),
    environment: (name) => process.env[name],
  };
}

function createLog(kind: 'pretty' | 'json' | 'silent', level: string): Log {
  if (kind === 'silent') return pino({ level: 'silent' });
  // Standard error: standard output belongs to results, and to MCP in `remit connect`.
  const logger = pino(
    { level, base: null, redact: { paths: REDACTED, censor: '[secret]' } },
    pino.destination({ dest: 2, sync: true }),
  );
  if (kind === 'json') return logger;
  const say =
    (mark: string) =>
    (fields: object, message: string): void => {
      const more = Object.keys(fields).length > 0 ? `  ${describe(fields)}` : '';
      // Servers and callers have their say in messages: it must not command the operator's terminal, nor forge a line.
      process.stderr.write(`${printable(`${mark} ${message}${more}`)}\n`);
    };
  return { debug: level === 'debug' ? say('debug') : () => {}, info: say(' '), warn: say('warn'), error: say('error') };
}

function describe(fields: object): string {
  return Object.entries(fields)
    .filter(([name, value]) => value !== undefined && !REDACTED.includes(name))
    .map(([name, value]) => `${name}=${typeof value === 'object' ? JSON.stringify(value) : String(value)}`)
    .join(' ');
}
