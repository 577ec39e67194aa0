import { open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { messageOf } from '../../domain/errors.ts';
import type { Log, Schedule } from '../../seams/clock.ts';

/** A place outside the data folder where the newest checkpoint is kept: who rolls the journal back does not reach it. */
export interface PublishTarget {
  /** For people. */
  readonly name: string;
  publish(note: string): Promise<void>;
  /** The newest note that was published; undefined when there is none yet. */
  read(): Promise<string | undefined>;
}

const HTTP_TIMEOUT_MS = 5_000;
const MAX_NOTE = 64 * 1024;
const SLOWEST_RETRY_MS = 60_000;

/** Replaces the file whole; what is there is always a whole note. */
export function fileTarget(path: string): PublishTarget {
  return {
    name: path,
    async publish(note) {
      const file = await open(`${path}.new`, 'w', 0o644);
      try {
        await file.writeFile(note);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(`${path}.new`, path);
      const folder = await open(dirname(path), 'r');
      await folder.sync().finally(() => folder.close());
    },
    read: () =>
      readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return undefined;
        throw error;
      }),
  };
}

/** POST of the note, as text (https://c2sp.org/tlog-checkpoint); GET gives the newest one, or 404. */
export function httpTarget(url: string): PublishTarget {
  const times = { headersTimeout: HTTP_TIMEOUT_MS, bodyTimeout: HTTP_TIMEOUT_MS };
  const signal = (): AbortSignal => AbortSignal.timeout(HTTP_TIMEOUT_MS);
  return {
    name: url,
    async publish(note) {
      const { request } = await import('undici');
      const headers = { 'content-type': 'text/plain; charset=utf-8' };
      const answer = await request(url, { method: 'POST', headers, body: note, signal: signal(), ...times });
      await answer.body.dump();
      if (answer.statusCode < 200 || answer.statusCode > 299) throw new Error(`HTTP ${answer.statusCode}`);
    },
    async read() {
      const { request } = await import('undici');
      const answer = await request(url, { method: 'GET', signal: signal(), ...times });
      if (answer.statusCode === 404 || answer.statusCode === 405) {
        await answer.body.dump();
        return undefined;
      }
      if (answer.statusCode !== 200) throw new Error(`HTTP ${answer.statusCode}`);
      let text = '';
      for await (const chunk of answer.body) {
        text += (chunk as Buffer).toString('utf8');
        if (text.length > MAX_NOTE) throw new Error('the answer is longer than a checkpoint');
      }
      return text;
    },
  };
}

export interface CheckpointPublisher {
  /** A newer checkpoint is there. Never waits and never throws. */
  offer(note: string): void;
  /** Publishes what is newest, once more, within a bound. */
  close(): Promise<void>;
}

/**
 * Publishes the newest checkpoint to a target: one at a time, at most one a period, the ones in between left out. A target that
 * fails is tried again with growing pauses, and each failure is logged; nothing that is served waits for it.
 */
export function createCheckpointPublisher(options: {
  target: PublishTarget;
  everyMs: number;
  schedule: Schedule;
  log: Pick<Log, 'error'>;
}): CheckpointPublisher {
  const { target, everyMs, schedule, log } = options;
  let newest: string | undefined;
  let published: string | undefined;
  let failures = 0;
  let current: Promise<void> | undefined;
  let cancel: (() => void) | undefined;

  async function publish(): Promise<void> {
    const note = newest;
    if (note === undefined || note === published) return;
    try {
      await target.publish(note);
      published = note;
      failures = 0;
    } catch (error) {
      failures += 1;
      log.error({ target: target.name, failures, error: messageOf(error) }, 'a checkpoint could not be published');
    }
  }

  function start(): void {
    if (current !== undefined || cancel !== undefined) return;
    current = publish().finally(() => {
      current = undefined;
      const wait = failures === 0 ? everyMs : Math.min(SLOWEST_RETRY_MS, everyMs * 2 ** Math.min(failures, 10));
      cancel = schedule(wait, () => {
        cancel = undefined;
        if (newest !== published) start();
      });
    });
  }

  return {
    offer(note) {
      newest = note;
      start();
    },
    async close() {
      await current;
      cancel?.();
      await publish();
    },
  };
}
