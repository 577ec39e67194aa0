import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { parseChecks, readResults, scenarioOf } from '../../conformance/results.ts';
import { problemOf } from '../../conformance/suite.ts';

const folders: string[] = [];
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true });
});

describe('results of the suite', () => {
  it('finds the scenario in the name of a result folder', () => {
    expect(scenarioOf('server-ping-2026-11-21T04-38-22-423Z', 'server')).toBe('ping');
    expect(scenarioOf('server-server-initialize-2026-11-21T04-38-22-423Z', 'server')).toBe('server-initialize');
    expect(scenarioOf('server-json-schema-2020-12-2026-11-21T04-38-22-423Z', 'server')).toBe('json-schema-2020-12');
    expect(scenarioOf('sse-retry-2026-11-21T04-38-22-423Z', 'client')).toBe('sse-retry');
    expect(scenarioOf('notes', 'client')).toBeUndefined();
    expect(scenarioOf('ping-2026-11-21T04-38-22-423Z', 'server')).toBeUndefined();
  });

  it('keeps what the suite says of each check, violations of the wire schema included', () => {
    const checks = parseChecks(
      JSON.stringify([
        { id: 'ping', status: 'SUCCESS', description: 'Server answers', timestamp: 'now', specReferences: [] },
        { id: 'ping', status: 'FAILURE', description: 'Server answers', errorMessage: 'it did not' },
        { id: 'wire-schema-valid', status: 'FAILURE', details: { violations: [{ path: '/result' }] } },
      ]),
    );
    expect(checks).toEqual([
      { id: 'ping', status: 'SUCCESS', message: '' },
      { id: 'ping', status: 'FAILURE', message: 'it did not' },
      { id: 'wire-schema-valid', status: 'FAILURE', message: '[{"path":"/result"}]' },
    ]);
  });

  it('refuses a status that it does not know, and what is no list of checks', () => {
    expect(() => parseChecks('[{"id":"x","status":"MAYBE"}]')).toThrow();
    expect(() => parseChecks('{}')).toThrow();
    expect(() => parseChecks('')).toThrow();
  });

  it('reads a folder of results; a scenario that broke down has failed', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'remit-results-'));
    folders.push(folder);
    await mkdir(join(folder, 'server-ping-2026-11-21T04-38-22-423Z'));
    await writeFile(
      join(folder, 'server-ping-2026-11-21T04-38-22-423Z', 'checks.json'),
      '[{"id":"ping","status":"SUCCESS"}]',
    );
    expect(await readResults(folder, 'server', '')).toEqual(
      new Map([['ping', [{ id: 'ping', status: 'SUCCESS', message: '' }]]]),
    );
    await mkdir(join(folder, 'server-tools-list-2026-11-21T04-38-22-423Z'));
    const said = 'noise\nFailed to run scenario tools-list: Error: no answer\n    at somewhere\n';
    expect((await readResults(folder, 'server', said)).get('tools-list')).toEqual([
      { id: 'tools-list', status: 'FAILURE', message: 'Error: no answer' },
    ]);
    const slashed = join(folder, 'auth/metadata-default-2026-11-21T04-38-22-423Z');
    await mkdir(slashed, { recursive: true });
    await writeFile(join(slashed, 'checks.json'), '[{"id":"token-request","status":"SUCCESS"}]');
    expect((await readResults(folder, 'client', '')).get('auth/metadata-default')).toEqual([
      { id: 'token-request', status: 'SUCCESS', message: '' },
    ]);
    await writeFile(join(folder, 'server-tools-list-2026-11-21T04-38-22-423Z', 'checks.json'), '[{"id":');
    await expect(readResults(folder, 'server', said)).rejects.toThrow();
  });

  it('hears from the suite whether the command failed or did not end', () => {
    expect(problemOf('Starting scenario: ping\n')).toBeUndefined();
    expect(problemOf('Client exited with code 1\n\nStderr:\nagent: refused\n')).toBe('refused');
    expect(problemOf('Client exited with code 137\n')).toBe('the agent failed');
    expect(problemOf('\nClient timed out after 40000ms\n')).toBe('the agent did not come to an end');
  });
});
