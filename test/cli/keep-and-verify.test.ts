import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { configSchema } from '../../src/config/schema.ts';
import { BIN, endAll, type Home, makeHome, runJson, runToFail, startUp, type Up } from './remit.ts';

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
