import { chmod, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import Libsql from 'libsql';
import { afterAll, describe, expect, it } from 'vitest';
import { endAll, makeHome, run, runJson, runToFail, startUp } from './remit.ts';

/** What is wrong around a gateway: each has a code with its own exit code, a place and a next step. */
afterAll(endAll);

const up = (config: string) => runToFail(['up', '--config', config]);

describe('what others hold', () => {
  it('the port', async () => {
    const { config, edit } = await makeHome();
    const other = createServer();
    await new Promise<void>((listening) => other.listen(0, '127.0.0.1', listening));
    try {
      const { port } = other.address() as { port: number };
      await edit('port: 0', `port: ${port}`);
      expect(await up(config)).toMatchObject({
        code: 'ERR_ALREADY_RUNNING',
        where: `127.0.0.1:${port}`,
        hint: expect.stringContaining('listen.port'),
      });
    } finally {
      await new Promise((closed) => other.close(closed));
    }
  });

  it('the data folder: a second gateway is refused, the first serves on', async () => {
    const { config, folder } = await makeHome();
    const first = await startUp(config);
    try {
      expect(await up(config)).toMatchObject({
        code: 'ERR_ALREADY_RUNNING',
        where: expect.stringContaining(join(folder, '.remit')),
        hint: expect.stringContaining('data folder'),
      });
      expect((await fetch(`${first.url}/healthz`)).status).toBe(200);
      expect(await runJson(['task', 'ls', '--config', config])).toEqual([]);
      expect(await runJson<{ task: string }>(['token', '--agent', 'my-agent', '--config', config])).toMatchObject({
        task: expect.stringMatching(/^tsk_/),
      });
    } finally {
      await first.stop();
    }
  });

  it('the store: locked by another process, a start is refused and a running gateway starts no task', async () => {
    const { config, folder } = await makeHome();
    const gateway = await startUp(config);
    const other = new Libsql(join(folder, '.remit', 'remit.db'));
    try {
      other.exec('BEGIN EXCLUSIVE');
      const refused = await runToFail(['token', '--agent', 'my-agent', '--config', config]);
      expect(refused).toMatchObject({ code: 'ERR_GATEWAY_UNREACHABLE', hint: expect.stringContaining('remit doctor') });
      expect(await runToFail(['secret', 'put', 'x', '--config', config], { input: 'x' })).toMatchObject({
        code: 'ERR_STORE_LOCKED',
        hint: expect.any(String),
      });
      expect(await gateway.stop()).toBe(0);
      expect(await up(config)).toMatchObject({
        code: 'ERR_STORE_LOCKED',
        where: expect.any(String),
        hint: expect.stringContaining('Another process'),
      });
      other.exec('ROLLBACK');
    } finally {
      other.close();
      await gateway.stop();
    }
    const again = await startUp(config);
    expect(await again.stop()).toBe(0);
  });

  it('A4 a damaged journal: the gateway revokes and serves nothing, says so, and goes on only when a person says so, on record', async () => {
    const { config, folder } = await makeHome();
    await (await startUp(config)).stop();
    const log = join(folder, '.remit', 'journal', '00000000.log');
    const bytes = await readFile(log);
    // In the payload of the first record, behind the segment's header.
    bytes[4200] = (bytes[4200] as number) ^ 1;
    await writeFile(log, bytes);
    const revokeOnly = await startUp(config, 'revoke_only');
    for (const path of ['/healthz', '/readyz', '/mcp', '/oauth/token']) {
      const answer = await fetch(`${revokeOnly.url}${path}`, { method: path.endsWith('z') ? 'GET' : 'POST' });
      // Alive, so that nobody restarts it; ready it is not.
      expect(answer.status, path).toBe(path === '/healthz' ? 200 : 503);
      expect(await answer.json()).toMatchObject({
        status: 'revoke_only',
        error_description: expect.stringContaining('record 0'),
      });
    }
    expect(await runToFail(['audit', 'accept-damage', '--config', config])).toMatchObject({
      code: 'ERR_ALREADY_RUNNING',
    });
    expect(await runToFail(['secret', 'rm', 'nothing', '--config', config])).toMatchObject({
      code: expect.any(String),
    });
    expect(await revokeOnly.stop()).toBe(0);
    expect((await readFile(log)).equals(bytes)).toBe(true);
    expect(await runToFail(['audit', 'verify', '--config', config])).toMatchObject({
      code: 'ERR_JOURNAL_DAMAGED',
      where: expect.stringContaining('record 0'),
    });
    const accepted = await runJson<{ kept: string }>(['audit', 'accept-damage', '--config', config]);
    expect((await readFile(join(accepted.kept, '00000000.log'))).equals(bytes)).toBe(true);
    const again = await startUp(config);
    expect(await again.stop()).toBe(0);
    const verified = await runJson<{ ok: boolean }>(['audit', 'verify', '--config', config]);
    expect(verified.ok).toBe(true);
    expect(await runToFail(['audit', 'accept-damage', '--config', config])).toMatchObject({ code: 'ERR_USAGE' });
  });

  it('a connector that cannot be reached: the gateway serves, and says which', async () => {
    const { config, edit } = await makeHome();
    await edit(
      '  # A database: each task',
      `  broken:
    owner: dana@shop.example
    transport:
      stdio:
        command: [/nowhere/server]
  silent:
    owner: dana@shop.example
    transport:
      http: { url: "http://127.0.0.1:9/mcp" }
  # A database: each task`,
    );
    const gateway = await startUp(config);
    try {
      expect(gateway.ready).toMatchObject({ tools: 2 });
      expect([...gateway.ready.problems].sort()).toEqual([
        expect.stringMatching(/^broken: /),
        expect.stringMatching(/^silent: /),
      ]);
      const checks = await runJson<{ name: string; state: string; what: string; hint: string }[]>([
        'doctor',
        '--config',
        config,
      ]);
      const check = checks.find(({ name }) => name === 'gateway');
      expect(check).toMatchObject({
        state: 'warn',
        what: expect.stringMatching(/(?=[\s\S]*broken: )(?=[\s\S]*silent: )/),
        hint: expect.any(String),
      });
      expect(await runToFail(['tool', 'describe', '--all', 'broken', '--config', config])).toMatchObject({
        code: 'ERR_CONNECTOR_UNREACHABLE',
        hint: expect.any(String),
      });
    } finally {
      await gateway.stop();
    }
  });

  it('a data folder that is a file', async () => {
    const { config, folder } = await makeHome();
    await rm(join(folder, '.remit'), { recursive: true });
    await writeFile(join(folder, '.remit'), '');
    const error = await up(config);
    expect(error.code).toBe('ERR_STORE_UNREACHABLE');
    expect(error).toMatchObject({ where: join(folder, '.remit'), hint: expect.any(String) });
  });
});

describe('who the agent is', () => {
  it('another private key, an unknown template: refused with their own codes', async () => {
    const { config, folder } = await makeHome();
    const gateway = await startUp(config);
    try {
      const other = await makeHome('own');
      const key = join(other.folder, '.remit', 'agents', 'my-agent.key.json');
      const asked = (...more: string[]) => runToFail(['connect', '--agent', 'my-agent', '--config', config, ...more]);
      expect(await asked('--key', key)).toMatchObject({
        code: 'ERR_TOKEN_REFUSED',
        message: expect.stringContaining('invalid_client'),
        hint: expect.stringContaining('key'),
      });
      expect(await asked('--template', 'rule-the-world')).toMatchObject({
        code: 'ERR_TASK_REFUSED',
        message: expect.stringContaining('read-files'),
      });
      expect(await asked('--key', join(folder, 'nowhere.json'))).toMatchObject({
        code: 'ERR_AGENT_KEY',
        where: join(folder, 'nowhere.json'),
        hint: expect.stringContaining('keygen'),
      });
      await chmod(key, 0o644);
      expect(await asked('--key', key)).toMatchObject({
        code: 'ERR_AGENT_KEY',
        hint: expect.stringContaining('chmod 600'),
      });
      expect(await runJson(['task', 'ls', '--all', '--config', config])).not.toContainEqual(
        expect.objectContaining({ agent: 'my-agent' }),
      );
      const { stdout } = await run(['audit', 'tail', '--json', '--type', 'authentication_refused', '--config', config]);
      expect(stdout).toContain('invalid_client');
    } finally {
      await gateway.stop();
    }
  });
});
