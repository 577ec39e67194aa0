import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readAgentKey, readPublicKeys, writeAgentKey } from '../../src/agent/agent-key.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'remit-key-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const files = () => ({
  privateKey: join(folder, 'own', 'a.key.json'),
  publicKeys: join(folder, 'public', 'a.jwks.json'),
});

describe('an agent’s key', () => {
  it('L6 is written private, and its public half holds nothing of it', async () => {
    const { kid } = await writeAgentKey('a', files());
    expect((await stat(files().privateKey)).mode & 0o777).toBe(0o600);
    const key = await readAgentKey(files().privateKey);
    const { keys } = await readPublicKeys(files().publicKeys);
    expect(keys).toEqual([{ kty: 'EC', crv: 'P-256', x: key.x, y: key.y, kid, alg: 'ES256', use: 'sig' }]);
  });

  it('is never overwritten', async () => {
    await writeAgentKey('a', files());
    const before = [await readFile(files().privateKey, 'utf8'), await readFile(files().publicKeys, 'utf8')];
    await expect(writeAgentKey('a', files())).rejects.toMatchObject({
      code: 'ERR_AGENT_KEY',
      where: files().privateKey,
    });
    expect([await readFile(files().privateKey, 'utf8'), await readFile(files().publicKeys, 'utf8')]).toEqual(before);
  });

  it.each([0o640, 0o604, 0o644])('L6 is refused when others may read it (mode %o)', async (mode) => {
    await writeAgentKey('a', files());
    await chmod(files().privateKey, mode);
    await expect(readAgentKey(files().privateKey)).rejects.toMatchObject({
      code: 'ERR_AGENT_KEY',
      hint: expect.stringContaining('chmod 600'),
    });
  });

  it.each(['not json hunter2', '{"kty":"EC"}', 'null', '[]'])(
    'is refused when it is %s, without a word of it',
    async (text) => {
      const path = join(folder, 'x.json');
      await writeFile(path, text, { mode: 0o600 });
      const error = await readAgentKey(path).then(
        () => undefined,
        (reason: Error) => reason,
      );
      expect(error).toMatchObject({ code: 'ERR_AGENT_KEY', where: path });
      expect(error?.message).not.toContain('hunter2');
    },
  );

  it.each([
    'not json',
    'null',
    '{"keys":[]}',
    '{"keys":{}}',
    '{"keys":[null]}',
    '{"keys":[{"kty":"EC","d":"x"}]}',
    '{"keys":[{"kty":"oct","k":"x"}]}',
  ])('public keys that are %s are refused', async (text) => {
    const path = join(folder, 'x.json');
    await writeFile(path, text);
    await expect(readPublicKeys(path)).rejects.toMatchObject({ code: 'ERR_AGENT_KEY', where: path });
  });
});
