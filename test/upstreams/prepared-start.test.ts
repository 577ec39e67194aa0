import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type Containment, createContainment } from '../../src/adapters/upstreams/contain-process.ts';
import { WATCHER_PLAN } from '../../src/adapters/upstreams/probe-containment.ts';
import { processesWith } from '../support/fake-mcp-processes.ts';
import { schedule } from '../support/fake-mcp-setup.ts';

/** What a command needs beside itself (the way out of a sandbox) is there before it, and goes after it. */

let folder: string;
let containment: Containment;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'remit-test-'));
  const environment = process.env;
  containment = await createContainment({
    random: randomBytes,
    schedule,
    environment,
    temporaryFolder: folder,
    plan: WATCHER_PLAN,
  });
});
afterEach(async () => {
  await containment.close();
  await rm(folder, { recursive: true, force: true });
});

const privateFolders = async (): Promise<string[]> => {
  const [own = ''] = await readdir(folder);
  return readdir(join(folder, own));
};
const running = (): number[] => processesWith('environ', `REMIT_INSTANCE=${containment.instance}.`);
const wait = { command: [process.execPath, '-e', 'setInterval(() => {}, 1000)'], environment: {} };

it('D1 where it cannot be made nothing is started, and nothing is left', async () => {
  const before = await privateFolders();
  const wrapper = { home: '/tmp', prefix: () => [], prepare: () => Promise.reject(new Error('no way out')) };
  await expect(containment.start({ ...wait, wrapper })).rejects.toThrow('no way out');
  expect(running()).toEqual([]);
  expect(await privateFolders()).toEqual(before);
});

it('I3 is ended where the program cannot be started, and with the command otherwise', async () => {
  let open = 0;
  const wrapper = {
    home: '/tmp',
    prefix: () => [],
    prepare: async () => {
      open += 1;
      return async () => {
        open -= 1;
      };
    },
  };
  const none = { command: [join(folder, 'no-such-program')], environment: {}, wrapper };
  await expect(containment.start(none)).rejects.toMatchObject({ code: 'ERR_CONNECTOR_UNREACHABLE' });
  expect(open).toBe(0);
  const child = await containment.start({ ...wait, wrapper });
  expect(open).toBe(1);
  await child.close();
  expect(open).toBe(0);
});
