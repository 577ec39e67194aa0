import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { RecordEntry } from '../../src/audit/recorder.ts';
import { callAdmin } from '../../src/cli/admin-client.ts';
import { adminOperations } from '../../src/compose/admin-operations.ts';
import { serveAdminSocket } from '../../src/http/admin-socket.ts';
import type { Schedule } from '../../src/seams/clock.ts';

const schedule: Schedule = (ms, task) => {
  const timer = setTimeout(task, ms);
  return () => clearTimeout(timer);
};

it('who has ordered something of a gateway that stops is told what came of it; who comes later finds none', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'remit-admin-'));
  try {
    let finish = (_made: object): void => {};
    let began = (): void => {};
    const hasBegun = new Promise<void>((resolve) => {
      began = resolve;
    });
    const revoke = () => {
      began();
      return new Promise((resolve) => {
        finish = resolve;
      });
    };
    const socket = await serveAdminSocket(join(folder, 'admin.sock'), schedule, { revoke });
    const answered = callAdmin<{ position: number }>(socket.path, 'revoke');
    await hasBegun;
    const closing = socket.close();
    await expect(callAdmin(socket.path, 'revoke')).rejects.toMatchObject({ code: 'ERR_GATEWAY_UNREACHABLE' });
    finish({ position: 7 });
    expect(await answered).toEqual({ position: 7 });
    await closing;
  } finally {
    await rm(folder, { recursive: true });
  }
});

it('a request whose address is no address is answered, and does not end the gateway', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'remit-admin-'));
  const socket = await serveAdminSocket(join(folder, 'admin.sock'), schedule, {});
  try {
    const answer = await new Promise<string>((resolve, reject) => {
      let text = '';
      const client = connect(socket.path, () =>
        client.write('POST // HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'),
      );
      client.on('data', (chunk) => {
        text += String(chunk);
      });
      client.on('error', reject);
      client.on('close', () => resolve(text));
      client.setTimeout(3_000, () => client.destroy(new Error(`no answer: ${text}`)));
    });
    expect(answer).toContain('HTTP/1.1 500');
  } finally {
    await socket.close();
    await rm(folder, { recursive: true });
  }
});

it.each(['null', '5', '[]', '"x"'])(
  'A4 a change told as %s is refused: the log would not be read back',
  async (detail) => {
    const records: RecordEntry[] = [];
    const recorder = { record: async (entry: RecordEntry) => records.push(entry) };
    const parts = { workspace: {}, recorder, risk: { levels: {} } };
    const { record } = adminOperations(parts as unknown as Parameters<typeof adminOperations>[0]);
    await expect(Promise.resolve(record?.({ detail }))).rejects.toMatchObject({ code: 'ERR_USAGE' });
    expect(records).toEqual([]);
  },
);
