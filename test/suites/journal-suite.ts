import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RemitError } from '../../src/domain/errors.ts';
import type { Journal } from '../../src/seams/journal.ts';
import { suitePayload } from '../journal/append-payload.ts';

/** One journal's place, empty at first, for one test. */
export interface JournalHarness {
  /** Opens the journal there; the suite closes it. */
  open(): Promise<Journal>;
  /** The payloads as a stranger finds them in the storage right now, without asking the open journal. */
  readStored(): Promise<Buffer[]>;
  /**
   * Arguments for this Node that open the journal in another process and append `suitePayload(position)` without end,
   * several at a time, with the acknowledged position as a line on standard output.
   */
  readonly appenderArguments: readonly string[];
  dispose(): Promise<void>;
}

/** What every `Journal` must do. */
export function journalSuite(name: string, makeHarness: () => Promise<JournalHarness>): void {
  describe(`journal: ${name}`, () => {
    let harness: JournalHarness;
    let opened: Journal[];

    beforeEach(async () => {
      harness = await makeHarness();
      opened = [];
    });

    afterEach(async () => {
      for (const journal of opened) await journal.close();
      await harness.dispose();
    });

    async function open(): Promise<Journal> {
      const journal = await harness.open();
      opened.push(journal);
      return journal;
    }

    it('starts empty', async () => {
      const journal = await open();
      expect(journal.size).toBe(0);
      expect(await payloadsOf(journal, 0)).toEqual([]);
    });

    it('gives dense positions in the order of the calls', async () => {
      const journal = await open();
      const positions: number[] = [];
      for (let round = 0; round < 10; round += 1) {
        const burst = Array.from({ length: 50 }, (_, index) => journal.append(suitePayload(round * 50 + index)));
        expect(journal.size).toBe((round + 1) * 50);
        positions.push(...(await Promise.all(burst)));
      }
      expect(positions).toEqual(Array.from({ length: 500 }, (_, index) => index));
    });

    it('stays dense when appenders race each other', async () => {
      const journal = await open();
      const positions: number[] = [];
      const worker = async (): Promise<void> => {
        for (let count = 0; count < 40; count += 1) positions.push(await journal.append(suitePayload(count)));
      };
      await Promise.all(Array.from({ length: 20 }, worker));
      expect(positions.sort((a, b) => a - b)).toEqual(Array.from({ length: 800 }, (_, index) => index));
    });

    it('reads back what was appended, from any position', async () => {
      const journal = await open();
      const payloads = [
        ...Array.from({ length: 600 }, (_, index) => suitePayload(index)),
        Buffer.alloc(0),
        everyByte(),
      ];
      await Promise.all(payloads.map((payload) => journal.append(payload)));
      expect(await payloadsOf(journal, 0)).toEqual(payloads);
      for (const from of [1, 255, 256, 257, 511, 601, 602, 10_000]) {
        expect(await payloadsOf(journal, from)).toEqual(payloads.slice(from));
      }
    });

    it('reads back what was appended while other writes were under way', async () => {
      const journal = await open();
      const appended: Promise<number>[] = [];
      for (let number = 0; number < 1_100; number += 1) {
        appended.push(journal.append(suitePayload(number)));
        await Promise.resolve();
        if (number % 150 === 149) await appended[number - 50];
      }
      await Promise.all(appended);
      let found = 0;
      for (const from of [0, 255, 256, 300, 512, 768, 1_024, 1_099]) {
        for await (const first of journal.read(from)) {
          expect(first).toEqual({ position: from, payload: suitePayload(from) });
          found += 1;
          break;
        }
      }
      expect(found).toBe(8);
    });

    it('reads what stood there at the call, not what came later', async () => {
      const journal = await open();
      await journal.append(suitePayload(0));
      const before = journal.read(0);
      await journal.append(suitePayload(1));
      const positions: number[] = [];
      for await (const { position } of before) positions.push(position);
      expect(positions).toEqual([0]);
    });

    it('takes its own copy of a payload', async () => {
      const journal = await open();
      const payload = Buffer.from('as it was');
      const appended = journal.append(payload);
      payload.fill(0);
      await appended;
      expect(await payloadsOf(journal, 0)).toEqual([Buffer.from('as it was')]);
    });

    it('A1 resolves an append only when the payload is in the storage', async () => {
      const journal = await open();
      for (let number = 0; number < 30; number += 1) {
        const others = [journal.append(suitePayload(number)), journal.append(suitePayload(number))];
        const position = await journal.append(suitePayload(number));
        expect((await harness.readStored())[position]).toEqual(suitePayload(number));
        await Promise.all(others);
      }
    });

    it('keeps everything over a close and goes on from there', async () => {
      const first = await open();
      for (let number = 0; number < 300; number += 1) void first.append(suitePayload(number));
      await first.close();
      const second = await open();
      expect(second.size).toBe(300);
      expect(await second.append(suitePayload(300))).toBe(300);
      await second.checkpoint();
      await second.close();
      const third = await open();
      expect(await payloadsOf(third, 0)).toEqual(Array.from({ length: 301 }, (_, index) => suitePayload(index)));
    });

    it('refuses appends after close, and closes twice', async () => {
      const journal = await open();
      await journal.close();
      await journal.close();
      await expect(journal.append(suitePayload(0))).rejects.toMatchObject({ code: 'ERR_JOURNAL_FAILED' });
      await expect(journal.append(suitePayload(0))).rejects.toBeInstanceOf(RemitError);
    });

    it('A1 loses nothing that it acknowledged when its process is killed', { timeout: 60_000 }, async () => {
      let sizeBefore = 0;
      for (const killAfter of [1, 100, 1_000]) {
        const acknowledged = await killAppender(harness.appenderArguments, killAfter);
        const journal = await open();
        expect(journal.size).toBeGreaterThan(Math.max(...acknowledged));
        expect(Math.min(...acknowledged)).toBe(sizeBefore);
        const stored = await payloadsOf(journal, 0);
        for (const position of acknowledged) expect(stored[position]).toEqual(suitePayload(position));
        sizeBefore = journal.size;
        await journal.close();
      }
    });

    it('is held by one at a time, and let go when its holder is killed or closes', async () => {
      const journal = await open();
      await expect(harness.open()).rejects.toMatchObject({ code: 'ERR_ALREADY_RUNNING' });
      const other = await runToEnd(harness.appenderArguments);
      expect(other).toContain('ERR_ALREADY_RUNNING');
      await journal.append(suitePayload(0));
      await journal.close();
      await killAppender(harness.appenderArguments, 1);
      expect((await open()).size).toBeGreaterThan(1);
    });
  });
}

async function payloadsOf(journal: Journal, from: number): Promise<Buffer[]> {
  const payloads: Buffer[] = [];
  for await (const { position, payload } of journal.read(from)) {
    expect(position).toBe(from + payloads.length);
    payloads.push(Buffer.from(payload));
  }
  return payloads;
}

function everyByte(): Buffer {
  return Buffer.from(Array.from({ length: 256 }, (_, index) => index));
}

/** Kills −9 the appender as soon as it has acknowledged `count`; gives every position that it acknowledged. */
async function killAppender(appender: readonly string[], count: number): Promise<number[]> {
  const child = spawn(process.execPath, appender, { stdio: ['ignore', 'pipe', 'pipe'] });
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  let complaint = '';
  child.stderr.on('data', (chunk) => {
    complaint += chunk;
  });
  const acknowledged: number[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    acknowledged.push(Number(line));
    if (acknowledged.length === count) child.kill('SIGKILL');
  }
  await closed;
  expect(child.signalCode, complaint).toBe('SIGKILL');
  return acknowledged;
}

/** Output of an appender that is expected to fail at once. */
async function runToEnd(appender: readonly string[]): Promise<string> {
  const child = spawn(process.execPath, appender, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      output += chunk;
    });
  }
  const code = await new Promise((resolve) => child.once('close', resolve));
  expect(code, output).not.toBe(0);
  return output;
}
