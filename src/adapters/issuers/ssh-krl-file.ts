import { randomUUID } from 'node:crypto';
import { access, constants, type FileHandle, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Clock } from '../../seams/clock.ts';
import { createRounds } from './rounds.ts';
import { EMPTY_KRL, isOver, type Krl, readKrl, writeKrl } from './ssh-krl.ts';

/** The list that servers read (`RevokedKeys`), shared with other gateways, `remit reap` and administrators. */
export interface KrlFile {
  /** Sees that a revocation could be entered; makes an empty list where there is none. */
  prepare(ca: Buffer, signal: AbortSignal): Promise<void>;
  /** @returns once the list with them is in place and durable */
  revoke(ca: Buffer, serials: readonly bigint[], signal: AbortSignal): Promise<void>;
}

/** A change takes milliseconds: a lock that is older was left by a process that died. */
const STALE_MS = 10_000;
const POLL_MS = 10;
const ROUND_MS = 15_000;

export function createKrlFile({ file, clock }: { file: string; clock: Clock }): KrlFile {
  /** Waiting to be entered, by the authority. */
  const waiting = new Map<bigint, Buffer>();
  const enter = createRounds(async () => {
    const mine = [...waiting];
    const signal = AbortSignal.timeout(ROUND_MS);
    await withLock(`${file}.lock`, signal, async (assertHeld) => {
      const cas = new Map(mine.map(([, ca]) => [ca.toString('hex'), ca]));
      for (const ca of cas.values()) {
        const serials = mine.filter(([, own]) => own.equals(ca)).map(([serial]) => serial);
        await change(ca, (krl) => withSerials(krl, serials), assertHeld);
      }
    });
    for (const [serial] of mine) waiting.delete(serial);
  });

  function withSerials(krl: Krl, serials: readonly bigint[]): Krl | undefined {
    const now = clock();
    const kept = [...krl.serials].filter((serial) => !isOver(serial, now));
    const added = serials.filter((serial) => !krl.serials.has(serial));
    if (added.length === 0) return undefined;
    return { ...krl, serials: new Set([...kept, ...added]) };
  }

  async function change(
    ca: Buffer,
    edit: (krl: Krl) => Krl | undefined,
    assertHeld: () => Promise<void>,
  ): Promise<void> {
    const krl = (await read(ca)) ?? EMPTY_KRL;
    const changed = edit(krl);
    if (changed === undefined) return;
    const bytes = writeKrl({ ...changed, version: krl.version + 1n }, ca, clock());
    await replace(file, bytes, assertHeld);
  }

  async function read(ca: Buffer): Promise<Krl | undefined> {
    try {
      return readKrl(await readFile(file), ca);
    } catch (error) {
      if (isCode(error, 'ENOENT')) return undefined;
      throw error;
    }
  }

  return {
    async prepare(ca, signal) {
      await access(dirname(file), constants.W_OK);
      if ((await read(ca)) !== undefined) return;
      await withLock(`${file}.lock`, signal, async (assertHeld) => {
        if ((await read(ca)) === undefined) await change(ca, (krl) => krl, assertHeld);
      });
    },
    async revoke(ca, serials, signal) {
      signal.throwIfAborted();
      for (const serial of serials) if (!isOver(serial, clock())) waiting.set(serial, ca);
      if (waiting.size > 0) await enter();
    },
  };
}

/** Whole or not at all: a server that finds no list, or half of one, refuses every key. */
async function replace(file: string, bytes: Buffer, assertHeld: () => Promise<void>): Promise<void> {
  const mode = await stat(file).then(
    (known) => known.mode & 0o777,
    () => 0o644,
  );
  const temporary = `${file}.${randomUUID()}`;
  try {
    await writeDurably(await open(temporary, 'wx', mode), bytes, mode);
    await assertHeld();
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  const folder = await open(dirname(file), 'r');
  await folder.sync().finally(() => folder.close());
}

async function writeDurably(handle: FileHandle, bytes: Buffer, mode: number): Promise<void> {
  try {
    await handle.chmod(mode);
    await handle.writeFile(bytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Between processes, by a file that only one can make. */
async function withLock(
  lock: string,
  signal: AbortSignal,
  work: (assertHeld: () => Promise<void>) => Promise<void>,
): Promise<void> {
  const token = randomUUID();
  await take(lock, token, signal);
  const isHeld = async () => (await readFile(lock, 'utf8').catch(() => '')) === token;
  try {
    await work(async () => {
      signal.throwIfAborted();
      if (!(await isHeld())) throw new Error('another process took the lock over');
    });
  } finally {
    if (await isHeld()) await rm(lock, { force: true });
  }
}

async function take(lock: string, token: string, signal: AbortSignal): Promise<void> {
  for (;;) {
    signal.throwIfAborted();
    try {
      const handle = await open(lock, 'wx', 0o600);
      await handle.writeFile(token).finally(() => handle.close());
      return;
    } catch (error) {
      if (!isCode(error, 'EEXIST')) throw error;
    }
    const age = await stat(lock).then(
      ({ mtimeMs }) => Date.now() - mtimeMs,
      () => 0,
    );
    // Renamed first: of several who find it stale one moves it away, and nobody a fresh one.
    if (age > STALE_MS)
      await rename(lock, `${lock}.${token}`).then(
        () => rm(`${lock}.${token}`),
        () => {},
      );
    else await delay(POLL_MS, undefined, { signal });
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
