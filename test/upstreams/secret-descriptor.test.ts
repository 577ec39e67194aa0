import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, readlink, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Containment, createContainment } from '../../src/adapters/upstreams/contain-process.ts';
import { Secret } from '../../src/domain/secret.ts';
import { plansHere } from '../support/fake-mcp-setup.ts';

const CANARY = 'canary-descriptor-5512';
const plans = await plansHere();

describe.each(plans.map((plan) => [plan.mode, plan] as const))(
  'a credential in a file descriptor, contained by %s',
  (_, plan) => {
    let folder: string;
    let containment: Containment;
    beforeEach(async () => {
      folder = await mkdtemp(join(tmpdir(), 'remit-test-'));
      containment = await createContainment({
        random: randomBytes,
        schedule: (ms, task) => {
          const timer = setTimeout(task, ms);
          return () => clearTimeout(timer);
        },
        environment: process.env,
        temporaryFolder: folder,
        plan,
      });
    });
    afterEach(async () => {
      await containment.close();
      await rm(folder, { recursive: true, force: true });
    });

    async function outputOf(script: string, descriptors?: Record<string, Secret>, environment = {}): Promise<string> {
      // What a process says before anybody listens is lost when it ends first: it waits until somebody does.
      const command = ['/bin/sh', '-c', `read ready; ${script}`];
      const child = await containment.start({ command, environment, descriptors });
      const saying = text(child.stdout);
      child.stdin.write('\n');
      const said = await saying;
      await child.gone;
      return said;
    }

    it('is read by its number, and then there is an end', async () => {
      const secrets = { 3: new Secret(CANARY), 5: new Secret('other') };
      expect(await outputOf('cat <&3; echo "|"; cat <&3; echo "|"; cat <&5', secrets)).toBe(`${CANARY}|\n|\nother`);
    });

    it('can be opened by the path that a variable names', async () => {
      const said = await outputOf('cat "$PASSWORD_FILE"', { 3: new Secret(CANARY) }, { PASSWORD_FILE: '/dev/fd/3' });
      expect(said).toBe(CANARY);
    });

    it('L6 is in no argument, no variable and no file with a name', async () => {
      const child = await containment.start({
        command: ['/bin/sh', '-c', 'read ready; cat <&3'],
        environment: {},
        descriptors: { 3: new Secret(CANARY) },
      });
      for (const file of ['cmdline', 'environ']) {
        expect(await readFile(`/proc/${child.pid}/${file}`, 'latin1')).not.toContain(CANARY);
      }
      expect(await readlink(`/proc/${child.pid}/fd/3`)).toMatch(/ \(deleted\)$/);
      expect((await readdir(folder, { recursive: true })).filter((name) => /remit-[0-9a-f]{32}/.test(name))).toEqual(
        [],
      );
      child.stdin.write('now\n');
      expect(await text(child.stdout)).toBe(CANARY);
      await child.gone;
    });

    it('is not there where none was given', async () => {
      expect(await outputOf('[ -e /dev/fd/3 ] && echo there || echo none')).toBe('none\n');
    });
  },
);
