import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import type { Removal } from '../../src/audit/find-removals.ts';
import { configSchema } from '../../src/config/schema.ts';
import { BIN, endAll, type Home, makeHome, run, runJson, runToFail, startUp, type Up } from './remit.ts';

/** The page's own commands, as they stand there, in a folder with a gateway that runs. */

const page = readFileSync(
  fileURLToPath(new URL('../../docs/how-to/keep-and-verify-the-trail.md', import.meta.url)),
  'utf8',
);
const blocks = (kind: string): string[] =>
  [...page.matchAll(new RegExp(`\`\`\`${kind}\n(.*?)\`\`\``, 'gs'))].map(([, text = '']) => text);

let home: Home;
let gateway: Up;
let path: string;

beforeAll(async () => {
  home = await makeHome();
  const bin = join(home.folder, 'bin');
  await mkdir(bin);
  await writeFile(join(bin, 'remit'), `#!/bin/sh\nexec '${process.execPath}' '${BIN}' "$@"\n`);
  await chmod(join(bin, 'remit'), 0o755);
  path = `${bin}${delimiter}${process.env.PATH}`;
  await writeFile(home.config, blocks('yaml')[0] as string, { flag: 'a' });
  gateway = await startUp(home.config);
});
afterAll(endAll);

const sh = async (script: string, cwd = home.folder): Promise<string> =>
  (await promisify(execFile)('sh', ['-e', '-c', script], { cwd, env: { ...process.env, PATH: path } })).stdout;

describe('docs/how-to/keep-and-verify-the-trail.md', () => {
  it.each(blocks('yaml'))('is configuration that a gateway takes: %s', (text) => {
    const { journal } = configSchema.parse({ version: 1, ...(parse(text) as object) });
    expect(journal).toMatchObject((parse(text) as { journal: object }).journal);
  });

  it('A4 every command runs as it stands there, one after the other, and says what the page says', async () => {
    const output: string[] = [];
    for (const script of blocks('sh')) output.push(await sh(script));
    const all = output.join('\n');
    expect(all).toMatch(/a new segment begins with record \d+/);
    expect(all).toMatch(/verified: \d+ records/);
    expect(all).toMatch(/verified: record 0 is in the log remit\/\S+ of size \d+\n\{"time":/);
    expect(all).toMatch(/verified: the log remit\/\S+ of size \d+ goes on from the one of size \d+/);
    expect(all).not.toContain('was taken from the folder');
    expect((await readdir(join(home.folder, '.remit', 'journal'))).filter((name) => name.endsWith('.log'))).toContain(
      '00000001.log',
    );
  });

  it('A4 a proof is verified in a folder that has nothing else, and not after a byte of it was changed', async () => {
    const elsewhere = await mkdtemp(join(tmpdir(), 'remit-third-party-'));
    const key = (await readFile(join(home.folder, 'noted.key'), 'utf8')).trim();
    const proof = await readFile(join(home.folder, 'record-0.tlog-proof'));
    const file = join(elsewhere, 'proof');
    await writeFile(file, proof);
    const args = ['audit', 'verify', '--proof', file, '--key', key, '--config', join(elsewhere, 'none.yaml')];
    const verified = await runJson<{ record: string }>(args);
    expect(verified).toMatchObject({ ok: true, kind: 'inclusion', index: 0 });
    expect(JSON.parse(verified.record)).toMatchObject({ type: expect.any(String), detail: expect.any(Object) });
    // In the record itself.
    proof[60] = proof[60] === 0x41 ? 0x42 : 0x41;
    await writeFile(file, proof);
    expect(await runToFail(args)).toMatchObject({ code: 'ERR_PROOF_INVALID', hint: expect.any(String) });
    await rm(elsewhere, { recursive: true });
  });

  it('a segment can be ended without a gateway, too', async () => {
    expect(await gateway.stop()).toBe(0);
    const { first } = await runJson<{ first: number }>(['audit', 'rotate', '--config', home.config]);
    const proof = await runJson<{ proof: string }>(['audit', 'prove', String(first), '--config', home.config]);
    const [, extra = ''] = /^extra (.*)$/m.exec(proof.proof) ?? [];
    expect(JSON.parse(Buffer.from(extra, 'base64').toString('utf8'))).toMatchObject({
      type: 'administration',
      detail: { action: 'journal_rotate', by: expect.any(String) },
    });
  });
});

describe('a gateway that keeps a bounded trail', () => {
  it('A4 removes old segments, on record; goes on from its mark after a stop and after kill −9; and the rest verifies', async () => {
    const bounded = await makeHome();
    const { config } = bounded;
    // A segment that is written to has room for a mebibyte: everything else is too much.
    await writeFile(config, 'journal: { keepMiB: 1 }\n', { flag: 'a' });
    const logs = async (): Promise<string[]> =>
      (await readdir(join(bounded.folder, '.remit', 'journal'))).filter((name) => name.endsWith('.log')).sort();
    const rotate = (): Promise<unknown> => runJson(['audit', 'rotate', '--config', config]);
    const start = ['task', 'start', '--agent', 'my-agent', '--template', 'read-files', '--config', config];
    let up = await startUp(config);
    const { task } = await runJson<{ task: string }>(start);
    await rotate();
    // A task that goes on needs its records.
    expect((await logs())[0]).toBe('00000000.log');
    await runJson(['task', 'end', task, '--config', config]);
    await rotate();
    expect((await logs())[0]).not.toBe('00000000.log');
    const verify = ['audit', 'verify', '--config', config];
    const verified = await runJson<{ firstRecord: number; removals: Removal[] }>(verify);
    const [removal] = verified.removals;
    expect(removal).toMatchObject({ first: 0, end: verified.firstRecord, keep: { MiB: 1 }, configuration: config });
    expect((await run(verify)).stdout).toContain(
      `records 0 to ${verified.firstRecord - 1}, written ${removal?.since} to ${removal?.until}, at ${removal?.time}: record ${removal?.record}; to be kept were 1 MiB (${config}, run by ${userInfo().username})`,
    );
    const { task: going } = await runJson<{ task: string }>(start);
    up.child.kill('SIGKILL');
    await up.exited;
    up = await startUp(config);
    const tasks = await runJson<{ id: string; state: string }[]>(['task', 'ls', '--config', config]);
    expect(tasks.find(({ id }) => id === going)?.state).toBe('active');
    expect(await up.stop()).toBe(0);
    expect(await runJson(verify)).toMatchObject({ ok: true, firstRecord: verified.firstRecord });
    // What is removed by hand is damage, at a start too.
    await rm(join(bounded.folder, '.remit', 'journal', (await logs())[0] as string));
    expect(await runToFail(verify)).toMatchObject({ code: 'ERR_JOURNAL_DAMAGED' });
    expect(await (await startUp(config, 'revoke_only')).stop()).toBe(0);
  });
});
