import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createCheckpointPublisher, fileTarget, httpTarget } from '../../src/adapters/journal/publish-checkpoint.ts';
import { makeFolder, openTestJournal, removeFolder } from './journal-fixture.ts';

describe('publishing checkpoints', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await makeFolder();
  });
  afterEach(() => removeFolder(folder));

  it('A4 the newest checkpoint is in a file elsewhere, and a journal rolled back behind it does not open', async () => {
    const target = fileTarget(join(folder, 'published'));
    expect(await target.read()).toBeUndefined();
    const publisher = createCheckpointPublisher({
      target,
      everyMs: 1,
      schedule: () => () => {},
      log: { error: () => {} },
    });
    const journal = await openTestJournal(join(folder, 'journal'), {
      onCheckpoint: (note) => publisher.offer(Buffer.from(note, 'latin1').toString('utf8')),
    });
    for (let number = 0; number < 5; number += 1) await journal.append('x');
    await journal.close();
    await publisher.close();
    const anchor = await target.read();
    expect(anchor).toContain('\n5\n');
    await (await openTestJournal(join(folder, 'journal'), { anchor: anchor as string })).close();
    const older = await openTestJournal(join(folder, 'older'));
    await older.append('x');
    await older.close();
    await expect(openTestJournal(join(folder, 'older'), { anchor: anchor as string })).rejects.toMatchObject({
      code: 'ERR_JOURNAL_DAMAGED',
    });
  });

  it('a target that fails is logged and tried again with growing pauses; nothing waits for it, and the newest wins', async () => {
    const due: { ms: number; task: () => void }[] = [];
    const errors: object[] = [];
    const taken: string[] = [];
    let isDown = true;
    const publisher = createCheckpointPublisher({
      target: {
        name: 'fake',
        publish: async (note) => {
          if (isDown) throw new Error('down');
          taken.push(note);
        },
        read: async () => undefined,
      },
      everyMs: 10,
      schedule: (ms, task) => {
        due.push({ ms, task });
        return () => {};
      },
      log: { error: (fields) => errors.push(fields) },
    });
    const turn = async (): Promise<void> => {
      await new Promise(setImmediate);
      due.shift()?.task();
      await new Promise(setImmediate);
    };
    publisher.offer('a');
    await turn();
    await turn();
    expect(due.map(({ ms }) => ms)).toEqual([80]);
    expect(errors).toHaveLength(3);
    isDown = false;
    publisher.offer('b');
    publisher.offer('c');
    await turn();
    expect(taken).toEqual(['c']);
    await publisher.close();
    expect(taken).toEqual(['c']);
  });

  it('POSTs the note to an HTTP endpoint, and reads it back', async () => {
    let kept: string | undefined;
    const server = createServer(async (request, response) => {
      if (request.method === 'POST') {
        kept = '';
        for await (const chunk of request) kept += chunk;
        response.writeHead(204).end();
      } else if (kept === undefined) response.writeHead(404).end();
      else response.end(kept);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const target = httpTarget(`http://127.0.0.1:${(server.address() as AddressInfo).port}/checkpoint`);
    expect(await target.read()).toBeUndefined();
    await target.publish('note — signed\n');
    expect(await target.read()).toBe('note — signed\n');
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await expect(target.publish('x')).rejects.toThrow();
  });

  it('a file that cannot be written is an error of the publisher, not of the journal', async () => {
    await expect(fileTarget(join(folder, 'nowhere', 'file')).publish('x')).rejects.toThrow();
    await fileTarget(join(folder, 'file')).publish('x');
    expect(await readFile(join(folder, 'file'), 'utf8')).toBe('x');
  });
});
