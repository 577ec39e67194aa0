import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { STOP_MS } from '../../src/compose/workers/keep-workers.ts';

const UNIT = readFileSync('deploy/systemd/remit.service', 'utf8');
const setting = (name: string): string | undefined => new RegExp(`^${name}=(.*)$`, 'm').exec(UNIT)?.[1];

it('the unit gives a user of its own, nothing to write but its state, and the key as a credential', () => {
  expect(setting('DynamicUser')).toBe('yes');
  expect(setting('NoNewPrivileges')).toBe('yes');
  expect(setting('ProtectSystem')).toBe('strict');
  expect(setting('CapabilityBoundingSet')).toBe('');
  expect(setting('StateDirectory')).toBe('remit');
  expect(setting('LoadCredential')).toMatch(/^vault\.key:/);
  expect(setting('ExecStart')).toContain('up --config /etc/remit/remit.yaml --json');
});

it('the unit waits until workers have been told to stop, and were killed', () => {
  expect(setting('KillMode')).toBe('mixed');
  expect(Number(/^(\d+)s$/.exec(setting('TimeoutStopSec') as string)?.[1]) * 1000).toBeGreaterThan(STOP_MS);
});

const systemdAnalyze = '/usr/bin/systemd-analyze';
const isThere = existsSync(systemdAnalyze);
if (!isThere) process.stderr.write('skipped: systemd-analyze is not on this machine, the unit is not verified by it\n');

it.skipIf(!isThere)('systemd-analyze finds nothing wrong with it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'remit-unit-'));
  try {
    const file = join(folder, 'remit.service');
    // Where the program lies is each host's own.
    await writeFile(file, UNIT.replace('/usr/bin/node', process.execPath));
    const { status, stdout, stderr } = spawnSync(systemdAnalyze, ['verify', '--recursive-errors=no', file], {
      encoding: 'utf8',
    });
    expect(`${stdout}${stderr}`.trim()).toBe('');
    expect(status).toBe(0);
  } finally {
    await rm(folder, { recursive: true });
  }
});
