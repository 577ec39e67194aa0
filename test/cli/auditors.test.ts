import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AuditRecord } from '../../src/domain/record.ts';
import { connectTo, makeClient } from '../support/whole-gateway.ts';
import { endAll, type Home, makeHome, run, runJson, runToFail, startUp, type Up } from './remit.ts';

/** Only an auditor reads content, over a whole gateway. */

let home: Home;
let gateway: Up;
let span: string;
const key = (): string => join(home.folder, 'carol.key.json');
const show = (...more: string[]): string[] => ['audit', 'show', span, '--content', ...more, '--config', home.config];

async function records(type: string): Promise<AuditRecord[]> {
  const { stdout } = await run(['audit', 'export', '--type', type, '--config', home.config]);
  return stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as AuditRecord);
}

beforeAll(async () => {
  home = await makeHome();
  await writeFile(home.config, 'auditors: { carol: { publicKey: auditors/carol.json } }\n', { flag: 'a' });
  await runJson(['auditor', 'keygen', 'carol', '--out', key(), '--config', home.config]);
  gateway = await startUp(home.config);
  const { token } = await runJson<{ token: string }>(['token', '--agent', 'my-agent', '--config', home.config]);
  const client = await connectTo(makeClient('legacy'), gateway, token);
  await client.callTool({ name: 'files__read_text_file', arguments: { path: join(home.workspace, 'hello.txt') } });
  await client.close();
  span = (await records('decision'))[0]?.span as string;
});
afterAll(() => endAll());

describe('an auditor', () => {
  it('A5 alone opens content: the vault key, which is here, does not', async () => {
    expect(await runToFail(show('--reason', 'curiosity'))).toMatchObject({ code: 'ERR_AUDITOR_KEY' });
    const opened = await runJson<{ contents: Record<string, string> }>(
      show('--reason', 'incident 7', '--auditor-key', key()),
    );
    expect(Object.values(opened.contents).join()).toContain('hello.txt');
  });

  it('leaves a record of each reading, of the one that failed too, and has to say why', async () => {
    expect(await runToFail(show('--auditor-key', key()))).toMatchObject({ code: 'ERR_USAGE' });
    const reads = await records('content_read');
    expect(reads.map(({ detail }) => [detail.reason, typeof detail.auditorKey])).toEqual([
      ['curiosity', 'undefined'],
      ['incident 7', 'string'],
    ]);
    const [started] = await records('gateway_started');
    expect(started?.detail.auditors).toEqual({ carol: reads[1]?.detail.auditorKey });
  });

  it('reads with no gateway running, and is on the trail all the same', async () => {
    await gateway.stop();
    await runJson(show('--reason', 'afterwards', '--auditor-key', key()));
    expect((await records('content_read')).at(-1)?.detail.reason).toBe('afterwards');
  });

  it('has a private key that nothing overwrites, and that others may not read', async () => {
    expect(await runToFail(['auditor', 'keygen', 'carol', '--out', key(), '--config', home.config])).toMatchObject({
      code: 'ERR_AUDITOR_KEY',
    });
    expect(
      await runToFail(['auditor', 'keygen', 'mallory', '--out', `${key()}2`, '--config', home.config]),
    ).toMatchObject({
      code: 'ERR_NOT_FOUND',
    });
    const open = join(home.folder, 'open.json');
    await writeFile(open, await readFile(key()), { mode: 0o644 });
    expect(await runToFail(show('--reason', 'x', '--auditor-key', open))).toMatchObject({
      code: 'ERR_AUDITOR_KEY',
      hint: expect.stringContaining('chmod 600'),
    });
  });
});
