import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { RecordEntry } from '../../src/audit/recorder.ts';
import { adminOperations } from '../../src/compose/admin-operations.ts';
import { serveAdminSocket } from '../../src/http/admin-socket.ts';

it('a request whose address is no address is answered, and does not end the gateway', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'remit-admin-'));
  const socket = await serveAdminSocket(join(folder, 'admin.sock'), {});
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
