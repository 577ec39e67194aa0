import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, expect, it, vi } from 'vitest';
import { createSystem } from '../../src/compose/system.ts';
import { openWorkspace } from '../../src/compose/workspace.ts';
import { startFakeAws } from '../support/fake-aws.ts';
import { startFakeGoogle } from '../support/fake-google.ts';
import { startFakeVault } from '../support/fake-vault.ts';
import { endAll, makeHome, run, runToFail } from './remit.ts';

vi.setConfig({ testTimeout: 200_000 });

const [aws, google, vault] = await Promise.all([startFakeAws(), startFakeGoogle(), startFakeVault()]);
afterAll(async () => {
  await endAll();
  await Promise.all([aws, google, vault].map((service) => service.close()));
});

const env = { AWS_ACCESS_KEY_ID: aws.accessKeyId, AWS_SECRET_ACCESS_KEY: aws.secretAccessKey, AWS_SESSION_TOKEN: '' };
const AWS_KEY = 'arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab';
const GCP_KEY = 'projects/shop/locations/eu/keyRings/remit/cryptoKeys/vault';

it('the vault’s key goes from a file to AWS KMS, to Cloud KMS and to a transit engine; what it wrapped opens all the while', async () => {
  aws.kmsKeys.set(AWS_KEY, { key: Buffer.alloc(32, 1), state: 'Enabled' });
  google.kmsKeys.set(GCP_KEY, { key: Buffer.alloc(32, 2), state: 'ENABLED' });
  vault.transitKeys.set('remit', {
    versions: [Buffer.alloc(32, 3)],
    least: 1,
    isDerived: false,
    ignoresAssociatedData: false,
  });
  const { config, folder } = await makeHome();
  await writeFile(join(folder, 'google.json'), google.key, { mode: 0o600 });
  await writeFile(join(folder, 'vault-token'), `${vault.rootToken}\n`, { mode: 0o600 });
  await run(['secret', 'put', 'kept', '--config', config], { input: 'a kept secret' });

  async function name(current: object, former: object): Promise<void> {
    const lines = (await readFile(config, 'utf8'))
      .split('\n')
      .filter((line) => !/^(vaultKey|formerVaultKeys):/.test(line));
    const keys = [`vaultKey: ${JSON.stringify(current)}`, `formerVaultKeys: ${JSON.stringify([former])}`];
    await writeFile(config, [...keys, ...lines].join('\n'));
  }
  async function json<T>(...args: string[]): Promise<T> {
    const done = await run([...args, '--json', '--config', config], { env });
    if (done.code !== 0) throw new Error(done.stderr);
    return JSON.parse(done.stdout) as T;
  }

  const stations = [
    { kind: 'file' },
    { kind: 'awsKms', key: AWS_KEY, region: aws.region, endpoint: aws.url },
    {
      kind: 'gcpKms',
      key: GCP_KEY,
      keyFile: 'google.json',
      endpoint: google.url,
      tokenEndpoint: `${google.url}/token`,
    },
    { kind: 'transit', address: vault.url, key: 'remit', tokenFile: 'vault-token' },
  ];
  const keyIds = [`awskms:${AWS_KEY}`, `gcpkms:${GCP_KEY}`, `transit:${vault.url}/transit/remit`];
  for (const [index, keyId] of keyIds.entries()) {
    await name(stations[index + 1] as object, stations[index] as object);
    const done = await json<object>('keys', 'rotate-kek');
    expect(done).toMatchObject({ current: keyId, isForgotten: true });
    const rows = await json<{ keyId: string; rows: number }[]>('keys', 'ls');
    expect(rows).toEqual([{ keyId, role: 'current', rows: expect.any(Number) }]);
    expect(rows[0]?.rows).toBeGreaterThan(0);
    expect(await readFile(config, 'utf8')).not.toContain('formerVaultKeys');
  }
  const trail = await run(['audit', 'tail', '-n', '100', '--json', '--type', 'administration', '--config', config]);
  const rotations = trail.stdout
    .split('\n')
    .filter((line) => line.includes('vault_key_rotate'))
    .map((line) => (JSON.parse(line) as { detail: { from: string[]; to: string } }).detail);
  expect(rotations.map(({ from, to }) => [from, to])).toEqual(
    keyIds.map((keyId, index) => [[index === 0 ? 'file:kek-1' : keyIds[index - 1]], keyId]),
  );
  const workspace = await openWorkspace(config, createSystem({ log: 'silent' }));
  expect((await workspace.vault.get('kept')).reveal()).toBe('a kept secret');
  await workspace.close();

  // The next key is a person's to make: what to do is said, and nothing was changed.
  expect(await runToFail(['keys', 'rotate-kek', '--config', config])).toMatchObject({
    code: 'ERR_USAGE',
    hint: expect.stringContaining('formerVaultKeys'),
  });
  expect(await runToFail(['secret', 'init', '--config', config])).toMatchObject({ code: 'ERR_USAGE' });
});

it('a rotation to a key that cannot be asked changes no row, and can be run again', async () => {
  const { config, edit } = await makeHome();
  await run(['secret', 'put', 'kept', '--config', config], { input: 'a kept secret' });
  vault.transitKeys.set('again', {
    versions: [Buffer.alloc(32, 4)],
    least: 1,
    isDerived: false,
    ignoresAssociatedData: false,
  });
  const transit = JSON.stringify({ kind: 'transit', address: vault.url, key: 'again', tokenVariable: 'TRANSIT_TOKEN' });
  await edit('version: 1', `version: 1\nvaultKey: ${transit}\nformerVaultKeys: [{ kind: file }]`);
  const rotate = ['keys', 'rotate-kek', '--config', config];
  expect(await runToFail(rotate)).toMatchObject({ code: 'ERR_VAULT_KEY_UNREACHABLE', where: 'TRANSIT_TOKEN' });
  expect(await runToFail(rotate, { env: { TRANSIT_TOKEN: 'canary-not-known' } })).toMatchObject({
    code: 'ERR_VAULT_KEY_UNREACHABLE',
    message: expect.not.stringContaining('canary-not-known'),
  });
  const listed = await run(['keys', 'ls', '--json', '--config', config]);
  expect(JSON.parse(listed.stdout)).toContainEqual({ keyId: 'file:kek-1', role: 'former', rows: expect.any(Number) });
  const done = await run([...rotate, '--json'], { env: { TRANSIT_TOKEN: vault.rootToken } });
  expect(JSON.parse(done.stdout)).toMatchObject({ current: `transit:${vault.url}/transit/again`, isForgotten: true });
});
