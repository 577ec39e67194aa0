import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkLimits, readOpenFilesLimit } from '../../src/compose/check-limits.ts';
import { parseConfig } from '../../src/config/load-config.ts';

const config = (more = '') => parseConfig(`version: 1\n${more}`, 'remit.yaml');

describe('fault 19: the bounds of the configuration against what the process may open', () => {
  it('enough: as many connections of clients as sessions, and some', () => {
    const check = checkLimits(config(), 1_000_000);
    expect(check).toMatchObject({ maxConnections: 11_024, problem: undefined });
    expect(check.needed).toBeGreaterThan(11_024 + 256 * 3);
    expect(checkLimits(config(), check.needed).problem).toBeUndefined();
    expect(checkLimits(config(), check.needed - 1).problem).toBeDefined();
    expect(checkLimits(config(), undefined)).toMatchObject({ maxConnections: 11_024, problem: undefined });
  });

  it('too little: clients get what connectors and the journal leave, and people are told what to do', () => {
    const { needed, maxConnections, problem } = checkLimits(config(), 4_096);
    expect(maxConnections).toBeLessThan(4_096);
    expect(4_096 - maxConnections).toBe(needed - 11_024);
    expect(problem?.what).toContain('4096');
    expect(problem?.what).not.toContain('none left');
    expect(problem?.hint).toMatch(/ulimit -n.*sessions\.max/);
  });

  it('far too little: half is left for the rest, and that it is not enough is said', () => {
    const { maxConnections, problem } = checkLimits(config(), 1_024);
    expect(maxConnections).toBe(512);
    expect(problem?.what).toContain('none left');
    expect(checkLimits(config('sessions: { max: 50 }\nlimits: { connections: 4 }'), 2_048).problem).toBeUndefined();
  });

  it('counts the sockets of connectors over HTTP', () => {
    const connectors = 'connectors: { crm: { owner: dana, transport: { http: { url: "https://crm.example/mcp" } } } }';
    expect(checkLimits(config(connectors), undefined).needed).toBe(checkLimits(config(), undefined).needed + 128);
  });

  it('reads the limit of this process, and none where there is none', async () => {
    expect(await readOpenFilesLimit()).toBeGreaterThan(100);
    const folder = await mkdtemp(join(tmpdir(), 'remit-limits-'));
    try {
      const file = join(folder, 'limits');
      await writeFile(
        file,
        'Limit  Soft Limit  Hard Limit  Units\nMax open files            unlimited            unlimited            files\n',
      );
      expect(await readOpenFilesLimit(file)).toBeUndefined();
      expect(await readOpenFilesLimit(join(folder, 'none'))).toBeUndefined();
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
