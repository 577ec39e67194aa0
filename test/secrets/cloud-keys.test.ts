import { randomBytes } from 'node:crypto';
import { inspect } from 'node:util';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { type AwsKmsOptions, createAwsKmsKeyProvider } from '../../src/adapters/keys/aws-kms-key-provider.ts';
import { createGcpKmsKeyProvider, type GcpKmsOptions } from '../../src/adapters/keys/gcp-kms-key-provider.ts';
import { createTransitKeyProvider, type TransitOptions } from '../../src/adapters/keys/transit-key-provider.ts';
import { createGuardedFetch } from '../../src/adapters/upstreams/guarded-fetch.ts';
import { Secret } from '../../src/domain/secret.ts';
import type { KeyProvider } from '../../src/seams/key-provider.ts';
import { keyProviderSuite } from '../suites/key-provider-suite.ts';
import { startFakeAws } from '../support/fake-aws.ts';
import { startFakeGoogle } from '../support/fake-google.ts';
import type { FakeService, Trouble } from '../support/fake-service.ts';
import { startFakeVault } from '../support/fake-vault.ts';

const { fetch, close } = createGuardedFetch({ hostname: '127.0.0.1', allowPrivateNetwork: false });
const [aws, google, vault] = await Promise.all([startFakeAws(), startFakeGoogle(), startFakeVault()]);
const keys: Buffer[] = [];
let names = 0;
function newKey(): Buffer {
  const key = randomBytes(32);
  keys.push(key);
  return key;
}
const texts = (): string[] => keys.flatMap((key) => [key.toString('base64'), key.toString('latin1')]);

afterEach(() => {
  for (const service of [aws, google, vault]) service.troubles.length = 0;
});
afterAll(async () => {
  await close();
  await Promise.all([aws, google, vault].map((service) => service.close()));
});

function awsKey(more: Partial<AwsKmsOptions> = {}): KeyProvider {
  const credentials = async () => ({ accessKeyId: aws.accessKeyId, secretAccessKey: new Secret(aws.secretAccessKey) });
  const key = more.key ?? 'none';
  return createAwsKmsKeyProvider({
    endpoint: aws.url,
    region: aws.region,
    credentials,
    fetch,
    clock: Date.now,
    ...more,
    key,
  });
}
function newAwsKey(): string {
  const key = `arn:aws:kms:eu-west-1:123456789012:key/key-${++names}`;
  aws.kmsKeys.set(key, { key: newKey(), state: 'Enabled' });
  return key;
}

function gcpKey(cryptoKey: string, more: Partial<GcpKmsOptions> = {}): KeyProvider {
  const account = { key: async () => new Secret(google.key), tokenUrl: `${google.url}/token`, fetch, clock: Date.now };
  return createGcpKmsKeyProvider({ ...account, endpoint: google.url, cryptoKey, ...more });
}
function newGcpKey(): string {
  const key = `projects/shop/locations/eu/keyRings/remit/cryptoKeys/key-${++names}`;
  google.kmsKeys.set(key, { key: newKey(), state: 'ENABLED' });
  return key;
}

function transitKey(key: string, more: Partial<TransitOptions> = {}): KeyProvider {
  const login = { token: async () => new Secret(vault.rootToken) };
  const server = { address: vault.url, namespace: undefined, login, fetch, clock: Date.now };
  return createTransitKeyProvider({ ...server, mount: 'transit', key, isDerived: false, ...more });
}
function newTransitKey(more: { isDerived?: boolean; ignoresAssociatedData?: boolean } = {}): string {
  const key = `key-${++names}`;
  vault.transitKeys.set(key, {
    versions: [newKey()],
    least: 1,
    isDerived: false,
    ignoresAssociatedData: false,
    ...more,
  });
  return key;
}

for (const [name, make, none] of [
  [
    'AWS KMS',
    () =>
      (
        (key) => () =>
          awsKey({ key })
      )(newAwsKey()),
    () => awsKey(),
  ],
  [
    'Cloud KMS',
    () =>
      (
        (key) => () =>
          gcpKey(key)
      )(newGcpKey()),
    () => gcpKey('projects/p/locations/l/keyRings/r/cryptoKeys/none'),
  ],
  [
    'transit',
    () =>
      (
        (key) => () =>
          transitKey(key)
      )(newTransitKey()),
    () => transitKey('none'),
  ],
  [
    'transit, of a server that does not know associated data',
    () =>
      (
        (key) => () =>
          transitKey(key)
      )(newTransitKey({ ignoresAssociatedData: true })),
    () => transitKey('none'),
  ],
  [
    'transit, with a derived key',
    () =>
      (
        (key) => () =>
          transitKey(key, { isDerived: true })
      )(newTransitKey({ isDerived: true })),
    () => transitKey('none', { isDerived: true }),
  ],
] as const) {
  keyProviderSuite(name, {
    async withKey() {
      const open = make();
      return { provider: open(), same: async () => open() };
    },
    withoutKey: async () => none(),
    secrets: () => [...texts(), aws.secretAccessKey, vault.rootToken],
  });
}

const dataKey = Buffer.alloc(32, 7);
const context = Buffer.from('tenant, record, version');
const failureOf = (promise: Promise<unknown>): Promise<{ code: string; message: string; hint: string }> =>
  promise.then(
    (value) => expect.unreachable(`it came to ${inspect(value)}`),
    (error) => error,
  );

describe.each<
  [
    string,
    () => { provider: KeyProvider; hasty: KeyProvider; service: FakeService; disable: () => void; denied: KeyProvider },
  ]
>([
  [
    'AWS KMS',
    () => {
      const key = newAwsKey();
      const stranger = async () => ({ accessKeyId: aws.accessKeyId, secretAccessKey: new Secret('canary-kms-wrong') });
      return {
        provider: awsKey({ key }),
        hasty: awsKey({ key, withinMs: 300 }),
        service: aws,
        disable: () => void Object.assign(aws.kmsKeys.get(key) ?? {}, { state: 'Disabled' }),
        denied: awsKey({ key, credentials: stranger }),
      };
    },
  ],
  [
    'Cloud KMS',
    () => {
      const key = newGcpKey();
      return {
        provider: gcpKey(key),
        hasty: gcpKey(key, { withinMs: 300 }),
        service: google,
        disable: () => void Object.assign(google.kmsKeys.get(key) ?? {}, { state: 'DISABLED' }),
        denied: gcpKey(key, { key: async () => new Secret('canary-kms-wrong') }),
      };
    },
  ],
  [
    'transit',
    () => {
      const key = newTransitKey();
      return {
        provider: transitKey(key),
        hasty: transitKey(key, { withinMs: 300 }),
        service: vault,
        disable: () => void Object.assign(vault.transitKeys.get(key) ?? {}, { least: 2 }),
        denied: transitKey(key, { login: { token: async () => new Secret('canary-kms-wrong') } }),
      };
    },
  ],
])('a vault key in %s', (_, arrange) => {
  it.each<Trouble['how']>([500, 404, 'garble', 'huge', 'lose', 'hang'])(
    'that cannot be asked is told so, and never taken for one that does not open: %s',
    async (how) => {
      const { provider, hasty, service } = arrange();
      const asked = how === 'hang' ? hasty : provider;
      const wrapped = await provider.wrap(dataKey, context);
      service.troubles.push({ at: /POST \/(?!token)/, how });
      const told = { code: 'ERR_VAULT_KEY_UNREACHABLE', hint: expect.stringMatching(/.+/) };
      expect(await failureOf(asked.wrap(dataKey, context))).toMatchObject(told);
      expect(await failureOf(asked.unwrap(wrapped, context))).toMatchObject(told);
      service.troubles.length = 0;
      expect(await provider.unwrap(wrapped, context)).toEqual(dataKey);
    },
  );

  it('that is disabled, or whose version is, is told so', async () => {
    const { provider, disable } = arrange();
    const wrapped = await provider.wrap(dataKey, context);
    disable();
    expect(await failureOf(provider.unwrap(wrapped, context))).toMatchObject({ code: 'ERR_VAULT_KEY_WRONG' });
  });

  it('that Remit may not use is told so, without a word of who asked', async () => {
    const { denied } = arrange();
    const error = await failureOf(denied.wrap(dataKey, context));
    expect(error.code).toBe('ERR_VAULT_KEY_UNREACHABLE');
    expect(inspect(error, { depth: 9 })).not.toContain('canary-kms-wrong');
  });
});

describe('a transit key', () => {
  it('that was rotated opens what its version before has wrapped', async () => {
    const key = newTransitKey();
    const provider = transitKey(key);
    const wrapped = await provider.wrap(dataKey, context);
    vault.transitKeys.get(key)?.versions.push(newKey());
    expect(await provider.unwrap(wrapped, context)).toEqual(dataKey);
    expect((await provider.wrap(dataKey, context)).readUInt32BE(0)).toBe(2);
  });
});
