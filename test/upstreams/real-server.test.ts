import { mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { createStdioOpener } from '../../src/adapters/upstreams/stdio-upstream.ts';
import { connectorId, taskId } from '../../src/domain/ids.ts';
import { NO_CREDENTIAL } from '../../src/seams/upstream.ts';
import { CLIENT, contain, schedule } from '../support/fake-mcp-setup.ts';

const SERVER = fileURLToPath(new URL('../../node_modules/.bin/mcp-server-filesystem', import.meta.url));

it('talks to the reference filesystem server', async () => {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'remit-test-')));
  await writeFile(join(folder, 'note.txt'), 'within its remit\n');
  const containment = await contain();
  try {
    const opener = createStdioOpener({ command: [SERVER, folder], containment, clientInfo: CLIENT, schedule });
    const upstream = await opener.open({
      connector: connectorId('files'),
      task: taskId('tsk_a'),
      injection: NO_CREDENTIAL,
      timeoutMs: 15_000,
      prefer: 'legacy',
      clientCapabilities: {},
    });
    const list = await upstream.request({ method: 'tools/list', params: '', meta: '', timeoutMs: 10_000 });
    expect(list).toMatchObject({
      result: { tools: expect.arrayContaining([expect.objectContaining({ name: 'read_text_file' })]) },
    });
    const read = async (path: string) =>
      await upstream.request({
        method: 'tools/call',
        params: JSON.stringify({ name: 'read_text_file', arguments: { path } }).slice(1, -1),
        meta: '',
        timeoutMs: 10_000,
      });
    expect(await read(join(folder, 'note.txt'))).toMatchObject({
      result: { content: [{ type: 'text', text: 'within its remit\n' }] },
    });
    expect(await read('/etc/hostname')).toMatchObject({ result: { isError: true } });
    await upstream.close();
  } finally {
    await containment.close();
    await rm(folder, { recursive: true });
  }
});

const SDK_SERVER = fileURLToPath(new URL('../support/sdk-stdio-server.mjs', import.meta.url));

it.each([
  ['legacy', 'legacy', {}],
  ['modern', 'modern', {}],
  ['legacy', 'modern', { SDK_LEGACY: 'reject' }],
] as const)('talks to a server of the official SDK: prefers %s, speaks %s (%o)', async (prefer, era, environment) => {
  const containment = await contain();
  try {
    const told: string[] = [];
    const opener = createStdioOpener({
      command: [process.execPath, SDK_SERVER],
      environment,
      containment,
      clientInfo: CLIENT,
      schedule,
    });
    const upstream = await opener.open({
      connector: connectorId('sdk'),
      task: taskId('tsk_a'),
      injection: NO_CREDENTIAL,
      timeoutMs: 15_000,
      prefer,
      clientCapabilities: {},
      events: { notification: (method) => void told.push(method), ask: async () => ({ result: {} }) },
    });
    expect(upstream.era).toBe(era);
    await upstream.watch({ lists: true, resources: [] });
    const call = { method: 'tools/call', params: '"name":"grow","arguments":{}', meta: '', timeoutMs: 10_000 };
    expect(await upstream.request(call)).toMatchObject({ result: { content: [{ type: 'text', text: 'grown' }] } });
    await expect.poll(() => told).toEqual(['notifications/tools/list_changed']);
    const list = await upstream.request({ method: 'tools/list', params: '', meta: '', timeoutMs: 10_000 });
    expect(list).toMatchObject({ result: { tools: [{ name: 'grow' }, { name: 'extra' }] } });
    await upstream.watch({ lists: false, resources: [] });
    await upstream.close();
  } finally {
    await containment.close();
  }
});
