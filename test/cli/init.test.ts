import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load-config.ts';
import { endAll, makeFolder, run, runJson, runToFail } from './remit.ts';

afterAll(endAll);

/** Every file below a folder with its content and mode. */
async function snapshot(folder: string): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    files[path] = `${((await stat(path)).mode & 0o777).toString(8)} ${await readFile(path, 'utf8')}`;
  }
  return files;
}

const modeOf = async (...path: string[]): Promise<number> => (await stat(join(...path))).mode & 0o777;

describe('remit init', () => {
  it('writes what it says, with private keys that only the owner reads, and passes its own policy check', async () => {
    const folder = await makeFolder();
    const made = await runJson<{ folder: string; written: string[]; owner: string }>([
      'init',
      folder,
      '--owner',
      'dana@shop.example',
    ]);
    expect(made).toMatchObject({ folder, owner: 'dana@shop.example' });
    expect(made.written).toEqual(
      expect.arrayContaining(['remit.yaml', 'remit.schema.json', 'policies/agents.cedar', 'workspace/hello.txt']),
    );
    for (const name of [...made.written, 'agents/my-agent.jwks.json'])
      expect((await stat(join(folder, name))).isFile()).toBe(true);
    expect(await modeOf(folder, '.remit')).toBe(0o700);
    expect(await modeOf(folder, '.remit', 'vault.key')).toBe(0o600);
    expect(await modeOf(folder, '.remit', 'agents', 'my-agent.key.json')).toBe(0o600);
    expect(await readFile(join(folder, '.remit', '.gitignore'), 'utf8')).toBe('*\n');
    expect(await readFile(join(folder, 'agents', 'my-agent.jwks.json'), 'utf8')).not.toContain('"d"');

    const policies = await runJson<{ id: string; at: string }[]>([
      'policy',
      'check',
      '--config',
      join(folder, 'remit.yaml'),
    ]);
    expect(policies.map(({ id }) => id)).toEqual(
      expect.arrayContaining(['agents-discover', 'agents-read', 'risk-waits']),
    );
    expect(policies[0]?.at).toMatch(/agents\.cedar:\d+$/);
  });

  it('refuses a second time, with exit code 2, and changes nothing', async () => {
    const folder = await makeFolder();
    await run(['init', folder]);
    const before = await snapshot(folder);
    const refused = await runToFail(['init', folder]);
    expect(refused).toMatchObject({ code: 'ERR_USAGE', where: join(folder, 'remit.yaml') });
    expect(refused.hint).toContain('another folder');
    expect((await run(['init', folder])).code).toBe(2);
    expect(await snapshot(folder)).toEqual(before);
  });

  it.each(['Dana: support, team #1 "A" {x}', 'null', '42', "O'Neil & Söhne"])(
    'keeps an owner called %s one name',
    async (owner) => {
      const folder = await makeFolder();
      const made = await run(['init', folder, '--owner', owner]);
      expect(made.stderr).toBe('');
      const { config } = await loadConfig(join(folder, 'remit.yaml'));
      expect(config.agents['my-agent']?.owner).toBe(owner);
      expect(config.connectors.files?.tools.read_text_file?.approvedBy).toBe(owner);
    },
  );

  it('refuses an empty owner before it writes anything', async () => {
    const folder = await makeFolder();
    expect(await runToFail(['init', folder, '--owner', ' '])).toMatchObject({ code: 'ERR_USAGE' });
    expect(await readdir(folder)).toEqual([]);
  });
});
