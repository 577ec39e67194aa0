import { randomBytes } from 'node:crypto';
import { chmod, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { endAll, type Home, makeFolder, makeHome, run, runJson, runToFail, startUp } from './remit.ts';

/** What can be wrong before a gateway serves: each has a code with its own exit code, a place and a next step. */
afterAll(endAll);

let home: Home;
beforeAll(async () => {
  home = await makeHome();
});

const up = (config: string) => runToFail(['up', '--config', config]);

describe('configuration', () => {
  it.each([['up'], ['doctor'], ['policy', 'check'], ['task', 'ls'], ['connect', '--agent', 'x'], ['secret', 'ls']])(
    'missing: %s %s says how to make one',
    async (...args) => {
      const config = join(await makeFolder(), 'remit.yaml');
      expect(await runToFail([...args.filter((arg) => arg !== undefined), '--config', config])).toMatchObject({
        code: 'ERR_CONFIG_MISSING',
        where: config,
        hint: expect.stringContaining('remit init'),
      });
    },
  );

  it('an unknown key is told with file, line and column, for people too', async () => {
    const { config, edit } = await makeHome();
    await edit('data: .remit', 'data: .remit\ncolour: red');
    const line = (await readFile(config, 'utf8')).split('\n').indexOf('colour: red') + 1;
    expect(await up(config)).toMatchObject({
      code: 'ERR_CONFIG_INVALID',
      where: config,
      message: expect.stringContaining(`${config}:${line}:1: colour: unknown key`),
      hint: expect.any(String),
    });
    const human = await run(['up', '--config', config]);
    expect(human.code).toBe(3);
    expect(human.stderr).toMatch(/^error ERR_CONFIG_INVALID: [\s\S]*colour: unknown key\n {2}next: /);
  });

  it('D1 a policy that does not validate stops the start, with file and line', async () => {
    const { config, folder } = await makeHome();
    await writeFile(
      join(folder, 'policies', 'wrong.cedar'),
      '// first line\npermit (\n  principal,\n  action == Remit::Action::"fly",\n  resource\n);\n',
    );
    for (const args of [['up'], ['policy', 'check']]) {
      const error = await runToFail([...args, '--config', config]);
      expect(error.code).toBe('ERR_POLICY_INVALID');
      expect(`${error.where} ${error.message}`).toMatch(/wrong\.cedar:\d+/);
      expect(error.message).toContain('fly');
    }
  });

  it('a policies folder that is not there stops the start', async () => {
    const { config, folder } = await makeHome();
    await rm(join(folder, 'policies'), { recursive: true });
    expect(await up(config)).toMatchObject({
      code: 'ERR_CONFIG_MISSING',
      where: join(folder, 'policies'),
      hint: expect.any(String),
    });
  });

  it('public keys that are private, or missing, stop the start', async () => {
    const { config, folder } = await makeHome();
    const publicKeys = join(folder, 'agents', 'my-agent.jwks.json');
    const privateKey = await readFile(join(folder, '.remit', 'agents', 'my-agent.key.json'), 'utf8');
    await writeFile(publicKeys, `{"keys":[${privateKey}]}`);
    expect(await up(config)).toMatchObject({
      code: 'ERR_AGENT_KEY',
      where: publicKeys,
      message: expect.stringContaining('private'),
    });
    await rm(publicKeys);
    expect(await up(config)).toMatchObject({
      code: 'ERR_AGENT_KEY',
      where: publicKeys,
      hint: expect.stringContaining('keygen'),
    });
  });

  it('a store that is named by an unset variable', async () => {
    const { config, edit } = await makeHome();
    await edit('data: .remit', 'data: .remit\nstore: { kind: postgres, urlVariable: REMIT_TEST_NOT_SET }');
    expect(await up(config)).toMatchObject({
      code: 'ERR_STORE_UNREACHABLE',
      message: expect.stringContaining('REMIT_TEST_NOT_SET'),
      hint: expect.any(String),
    });
  });
});

describe('vault key', () => {
  it('missing', async () => {
    const { config, folder } = await makeHome();
    await rm(join(folder, '.remit', 'vault.key'));
    expect(await up(config)).toMatchObject({
      code: 'ERR_VAULT_KEY_MISSING',
      where: join(folder, '.remit', 'vault.key'),
      hint: expect.any(String),
    });
    const { stdout, code } = await run(['doctor', '--json', '--config', config]);
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toContainEqual(
      expect.objectContaining({ name: 'vault key', state: 'fail', hint: expect.any(String) }),
    );
    expect(await runJson(['secret', 'init', '--config', config])).toMatchObject({ created: true });
    expect(await runJson(['secret', 'init', '--config', config])).toMatchObject({ created: false });
  });

  it('readable by others', async () => {
    const { config, folder } = await makeHome();
    const key = join(folder, '.remit', 'vault.key');
    await chmod(key, 0o644);
    expect(await up(config)).toMatchObject({
      code: 'ERR_VAULT_KEY_WRONG',
      where: key,
      hint: expect.stringContaining(`chmod 600 ${key}`),
    });
  });

  it('another one than that which sealed: nothing is served, nothing replaced', async () => {
    const { config, folder } = await makeHome();
    const key = join(folder, '.remit', 'vault.key');
    const right = await readFile(key, 'utf8');
    await runJson(['secret', 'put', 'crm_token', '--config', config], { input: 'x' });
    expect(await (await startUp(config)).stop()).toBe(0);
    await writeFile(key, `${randomBytes(32).toString('base64url')}\n`, { mode: 0o600 });
    expect(await up(config)).toMatchObject({ code: 'ERR_VAULT_KEY_WRONG', hint: expect.any(String) });
    const doctor = await run(['doctor', '--json', '--config', config]);
    expect(doctor.code).toBe(1);
    expect(JSON.parse(doctor.stdout)).toContainEqual(expect.objectContaining({ name: 'vault key', state: 'fail' }));
    await writeFile(key, right);
    expect(await (await startUp(config)).stop()).toBe(0);
  });

  it('no key at all in the file, and the text is not repeated', async () => {
    const { config, folder } = await makeHome();
    await writeFile(join(folder, '.remit', 'vault.key'), 'hunter2-is-no-key\n', { mode: 0o600 });
    const error = await up(config);
    expect(error.code).toBe('ERR_VAULT_KEY_WRONG');
    expect(JSON.stringify(error)).not.toContain('hunter2');
  });
});

describe('without a gateway', () => {
  it.each([
    ['task', 'end', 'tsk_x'],
    ['lease', 'revoke', 'lse_x'],
    ['connect', '--agent', 'my-agent'],
    ['token', '--agent', 'my-agent'],
    ['task', 'start', '--agent', 'my-agent', '--template', 'read-files'],
  ])('%s %s %s says to start one', async (...args) => {
    expect(await runToFail([...args.filter((arg) => arg !== undefined), '--config', home.config])).toMatchObject({
      code: 'ERR_GATEWAY_UNREACHABLE',
      where: expect.any(String),
      hint: expect.stringContaining('remit up'),
    });
  });

  it('connect to a fixed port where nobody listens', async () => {
    const error = await runToFail([
      'connect',
      '--agent',
      'my-agent',
      '--url',
      'http://127.0.0.1:9',
      '--config',
      home.config,
    ]);
    expect(error).toMatchObject({
      code: 'ERR_GATEWAY_UNREACHABLE',
      where: expect.stringContaining('http://127.0.0.1:9/'),
      hint: expect.stringContaining('remit up'),
    });
  });

  it('doctor warns, and the journal that is not there yet is told so', async () => {
    const checks = await runJson<{ name: string; state: string; hint?: string }[]>(['doctor', '--config', home.config]);
    expect(checks.find(({ name }) => name === 'gateway')).toMatchObject({
      state: 'warn',
      hint: expect.stringContaining('remit up'),
    });
    expect(checks.find(({ name }) => name === 'journal')).toMatchObject({ state: 'warn' });
    for (const args of [
      ['audit', 'tail'],
      ['audit', 'verify'],
      ['audit', 'export'],
    ]) {
      expect(await runToFail([...args, '--config', home.config])).toMatchObject({
        code: 'ERR_NOT_FOUND',
        hint: expect.any(String),
      });
    }
  });

  it('unknown agents are told from known ones', async () => {
    for (const name of ['stranger', 'constructor']) {
      expect(await runToFail(['connect', '--agent', name, '--config', home.config])).toMatchObject({
        code: 'ERR_NOT_FOUND',
        hint: expect.stringContaining('my-agent'),
      });
      expect(await runToFail(['agent', 'keygen', name, '--config', home.config])).toMatchObject({
        code: 'ERR_NOT_FOUND',
        hint: expect.stringContaining('my-agent'),
      });
    }
  });

  it('an agent’s key is not overwritten', async () => {
    const key = join(home.folder, '.remit', 'agents', 'my-agent.key.json');
    const before = await readFile(key, 'utf8');
    expect(await runToFail(['agent', 'keygen', 'my-agent', '--config', home.config])).toMatchObject({
      code: 'ERR_AGENT_KEY',
      where: key,
      hint: expect.stringContaining('move it away'),
    });
    expect(await readFile(key, 'utf8')).toBe(before);
  });
});

describe('usage', () => {
  it.each([
    ['an unknown command', ['fly']],
    ['an unknown subcommand', ['audit', 'fly']],
    ['an unknown option', ['task', 'ls', '--fly']],
    ['a reaper that would never wait', ['reap', '--every', '0']],
    ['a missing argument', ['task', 'end']],
    ['a missing option', ['connect']],
    ['a log level that is none', ['up', '--log-level', 'loud']],
  ])('%s: exit code 2 and where help is', async (_, args) => {
    const done = await run(args, { cwd: home.folder });
    expect(done.code).toBe(2);
    expect(done.stderr).toMatch(/^error: /);
    expect(done.stderr).toContain('--help');
  });

  it('--help and --version are no errors', async () => {
    expect((await run(['--help'])).code).toBe(0);
    expect(await run(['--version'])).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) });
  });

  it('audit options that mean nothing', async () => {
    expect(await runToFail(['audit', 'tail', '-n', 'x', '--config', home.config])).toMatchObject({ code: 'ERR_USAGE' });
    expect(await runToFail(['audit', 'tail', '--type', 'gossip', '--config', home.config])).toMatchObject({
      code: 'ERR_USAGE',
      message: expect.stringContaining('gossip'),
    });
    expect(await runToFail(['audit', 'export', '--format', 'xml', '--config', home.config])).toMatchObject({
      code: 'ERR_USAGE',
    });
  });
});
