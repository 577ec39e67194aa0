import { readFile, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exceptionFor, recordsOf } from '../support/whole-gateway.ts';
import { endAll, type Home, makeHome, run, runJson, runToFail, startUp } from './remit.ts';

const TYPED = 'hunter2-typed-by-mistake';
let home: Home;

beforeAll(async () => {
  home = await makeHome();
  await put('crm_token', 'first secret');
  await home.edit(
    '\ntemplates:',
    `
  crm:
    owner: dana@shop.example
    transport: { http: { url: "http://127.0.0.1:9/mcp" } }
    credential: { static: { secret: crm_token, exception: ${exceptionFor('get')} } }
    tools: { get: { class: read, approvedBy: dana@shop.example } }
  crm_dev:
    owner: dana@shop.example
    environment: staging
    zone: dmz
    transport: { http: { url: "http://127.0.0.1:9/mcp" } }
    credential: { static: { secret: dev_token, exception: ${exceptionFor('get')} } }
    tools: { get: { class: read, approvedBy: dana@shop.example } }
templates:`,
  );
});
afterAll(endAll);

const options = (): string[] => ['--config', home.config];
const put = (name: string, input: string) => run(['secret', 'put', name, ...options()], { input });
async function trail(): Promise<{ action: string; [detail: string]: unknown }[]> {
  const records = await recordsOf(home, 'administration');
  return records.map(({ detail }) => detail as { action: string });
}

describe('remit secret', () => {
  it.each([
    [['put', 'db', TYPED]],
    [['put', 'db', `--value=${TYPED}`]],
    [['put', `--secret=${TYPED}`, 'db']],
    [['put', `db=${TYPED}`]],
    [['rotate', 'crm_token', TYPED]],
    [['rotate', 'crm_token', '--new', TYPED]],
    [['rm', 'crm_token', TYPED]],
  ])('refuses what is typed (%j), names the safe way, and repeats nothing of it', async (args) => {
    const done = await run(['secret', ...args, ...options()], { input: '' });
    expect(done.code === 5 || done.code === 2).toBe(true);
    expect(done.stdout + done.stderr).not.toContain(TYPED);
    expect(done.stderr).toMatch(/remit secret (put|rotate|rm)|standard input/);
    expect((await runJson<{ name: string }[]>(['secret', 'ls', ...options()])).map(({ name }) => name)).toEqual([
      'crm_token',
    ]);
  });

  it('R57 shows version, age, users and exceptions, and no value', async () => {
    const [entry] = await runJson<Record<string, unknown>[]>(['secret', 'ls', ...options()]);
    expect(entry).toMatchObject({
      name: 'crm_token',
      version: 1,
      ageDays: 0,
      usedBy: [{ connector: 'crm', at: 'static.secret' }],
      exceptions: [{ connector: 'crm', owner: 'dana@shop.example' }],
    });
    const { stdout } = await run(['secret', 'ls', ...options()]);
    expect(stdout).toMatch(/crm_token +1 +\d+ min +file:kek-1 +crm \(static\.secret\)/);
    expect(stdout).not.toContain('first secret');
  });

  it('R57 rotates what is there: a new version, on the trail; not the same secret again, and not what is not there', async () => {
    expect(await runToFail(['secret', 'rotate', 'crm_token', ...options()], { input: 'first secret' })).toMatchObject({
      code: 'ERR_USAGE',
    });
    expect(await runToFail(['secret', 'rotate', 'none', ...options()], { input: 'x' })).toMatchObject({
      code: 'ERR_NOT_FOUND',
    });
    const rotated = await runJson<{ version: number }>(['secret', 'rotate', 'crm_token', ...options()], {
      input: 'second secret',
    });
    expect(rotated).toEqual({ name: 'crm_token', version: 2 });
    expect((await trail()).at(-1)).toMatchObject({
      action: 'secret_rotate',
      name: 'crm_token',
      version: 2,
      replaces: 1,
    });
  });

  it('R56 refuses the same secret under another name, and says so on the trail without a value', async () => {
    const failure = await runToFail(['secret', 'put', 'dev_token', ...options()], { input: 'second secret' });
    expect(failure).toMatchObject({
      code: 'ERR_SECRET_SHARED',
      where: 'dev_token',
      hint: expect.stringContaining('sharedSecrets'),
    });
    expect(failure.message).toContain('crm (dev, internal)');
    expect(failure.message).toContain('crm_dev (staging, dmz)');
    expect((await trail()).at(-1)).toMatchObject({
      action: 'secret_refused',
      name: 'dev_token',
      sameAs: ['crm_token'],
    });
    // A line end more or less makes no other secret.
    expect(await runToFail(['secret', 'put', 'dev_token', ...options()], { input: 'second secret\n' })).toMatchObject({
      code: 'ERR_SECRET_SHARED',
    });
  });

  it('R02 the gateway does not start where two connectors use one secret, unless an exception names both, and the finding stays', async () => {
    const text = await readFile(home.config, 'utf8');
    await writeFile(home.config, text.replace('secret: dev_token', 'secret: crm_token'));
    const failure = await runToFail(['up', ...options()]);
    expect(failure).toMatchObject({ code: 'ERR_SECRET_SHARED' });
    expect(failure.where).toContain('connectors.crm.credential.static.secret');
    expect(failure.where).toContain('connectors.crm_dev.credential.static.secret');
    const kinds = async () =>
      (await runJson<{ kind: string; severity: string }[]>(['findings', ...options()])).filter(
        ({ kind }) => kind === 'shared_secret',
      );
    expect(await kinds()).toMatchObject([{ severity: 'high' }]);

    const allow = (expires: string) =>
      `\nsharedSecrets:\n  - { secrets: [crm_token], connectors: [crm, crm_dev], owner: dana@shop.example, reason: one account, expires: "${expires}" }\ntemplates:`;
    const shared = await readFile(home.config, 'utf8');
    await writeFile(home.config, shared.replace('\ntemplates:', allow('2020-01-01T00:00:00Z')));
    expect(await runToFail(['up', ...options()])).toMatchObject({ code: 'ERR_SECRET_SHARED' });
    await writeFile(home.config, shared.replace('\ntemplates:', allow('2099-01-01T00:00:00Z')));
    const up = await startUp(home.config);
    await up.stop();
    expect(await kinds()).toMatchObject([{ severity: 'medium' }]);
    await writeFile(home.config, text);
  });

  it('does not remove what is in use; --force does, on the trail', async () => {
    const failure = await runToFail(['secret', 'rm', 'crm_token', ...options()]);
    expect(failure).toMatchObject({ code: 'ERR_SECRET_IN_USE', where: 'crm_token' });
    expect(failure.message).toContain('crm (static.secret)');
    await runJson(['secret', 'rm', 'crm_token', '--force', ...options()]);
    expect((await trail()).at(-1)).toMatchObject({ action: 'secret_remove', name: 'crm_token', force: true });
    expect(await runToFail(['secret', 'rm', 'crm_token', ...options()])).toMatchObject({ code: 'ERR_NOT_FOUND' });
  });
});
