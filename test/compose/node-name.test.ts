import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { nodeName } from '../../src/compose/nodes/node-name.ts';

let data: string;
beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), 'remit-node-'));
});
afterEach(() => rm(data, { recursive: true, force: true }));

it('is made with its folder, once, whoever asks at the same time, and for its owner alone', async () => {
  const names = await Promise.all([1, 2, 3].map(() => nodeName(data, randomBytes)));
  expect(new Set([...names, await nodeName(data, randomBytes)]).size).toBe(1);
  expect(await readdir(data)).toEqual(['node']);
  expect((await stat(join(data, 'node'))).mode & 0o777).toBe(0o600);
});

it('is made where a full disk has left an empty file: nobody has had a name by that', async () => {
  await writeFile(join(data, 'node'), '');
  const name = await nodeName(data, randomBytes);
  expect(await nodeName(data, randomBytes)).toBe(name);
});

it('a file that says something else is left as it is, and says what to do', async () => {
  await writeFile(join(data, 'node'), 'someone\n');
  await expect(nodeName(data, randomBytes)).rejects.toMatchObject({
    code: 'ERR_CONFIG_INVALID',
    where: join(data, 'node'),
  });
});
