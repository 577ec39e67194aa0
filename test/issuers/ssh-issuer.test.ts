import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sshpk from 'sshpk';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readSshCa } from '../../src/adapters/issuers/ssh-ca.ts';
import { createSshIssuer, type SshIssuerOptions } from '../../src/adapters/issuers/ssh-issuer.ts';
import type { SshClass } from '../../src/adapters/issuers/ssh-scope.ts';
import { readSsh } from '../../src/adapters/issuers/ssh-wire.ts';
import { Secret } from '../../src/domain/secret.ts';
import { issuerSuite, newLease, requestFor } from '../suites/issuer-suite.ts';
import { judge, showCertificate } from '../support/fake-sshd.ts';

const CA = sshpk.generatePrivateKey('ed25519');
const CA_KEY = CA.toString('openssh');
const READ: SshClass = {
  forceCommand: 'run-until {until}',
  anyCommand: false,
  pty: true,
  portForwarding: false,
  agentForwarding: false,
  x11Forwarding: true,
};

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'remit-ssh-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function options(more: Partial<SshIssuerOptions> = {}): SshIssuerOptions {
  return {
    servers: 'test servers',
    caKey: async () => new Secret(CA_KEY),
    classes: { read: READ },
    sourceAddresses: [],
    krlFile: join(folder, 'revoked'),
    sharedKrl: true,
    clock: Date.now,
    random: randomBytes,
    ...more,
  };
}

for (const [name, more, krl] of [
  ['with a list that servers read', {}, 'revoked'],
  ['with a list that is copied to them', { sharedKrl: false }, undefined],
  ['without a list', { krlFile: undefined, sharedKrl: false }, undefined],
] as const) {
  issuerSuite(`ssh, judged by fake-sshd, ${name}`, async () => ({
    issuer: createSshIssuer(options(more)),
    other: () => createSshIssuer(options(more)),
    clock: Date.now,
    resources: ['deploy'],
    actionClasses: ['read'],
    async canUse({ privateKey, certificate }) {
      const krlFile = krl === undefined ? undefined : join(folder, krl);
      const parts = { privateKey: privateKey?.reveal() ?? '', certificate: certificate?.reveal() ?? '' };
      return (await judge({ ca: CA.toPublic(), principal: 'deploy', krlFile, clock: Date.now }, parts)).isIn;
    },
    exists: undefined,
    broken: [
      createSshIssuer(options({ ...more, caKey: async () => new Secret('canary-no-key-9') })),
      createSshIssuer(options({ ...more, caKey: async () => new Secret(CA.toPublic().toString('ssh')) })),
    ],
    secrets: [CA_KEY, CA_KEY.split('\n')[2] ?? '', 'canary-no-key-9'],
    stop: async () => {},
  }));
}

describe('an SSH certificate', () => {
  const ask = { resources: ['deploy', 'backup'], actionClasses: ['read' as const] };

  it('says what sshpk reads out of it: whose, until when, from where, one command, what is permitted', async () => {
    const now = 1_800_000_000_500;
    const by = createSshIssuer(options({ clock: () => now, sourceAddresses: ['10.0.0.0/8', '192.0.2.1/32'] }));
    const lease = newLease(by, now);
    const { fields, nativeExpiresAt, handle } = await by.issue({
      ...requestFor(lease, AbortSignal.timeout(5_000)),
      ...ask,
    });
    const shown = showCertificate(fields.certificate?.reveal() ?? '');
    expect(shown).toMatchObject({
      keyId: lease.tag,
      principals: ['deploy', 'backup'],
      validFrom: 1_800_000_000_000 - 60_000,
      validUntil: 1_800_000_060_000,
      options: { 'force-command': 'run-until 1800000060', 'source-address': '10.0.0.0/8,192.0.2.1/32' },
      extensions: ['permit-X11-forwarding', 'permit-pty'],
    });
    expect(nativeExpiresAt).toBe(1_800_000_060_000);
    expect(handle?.reveal()).toBe(`${shown.serial} ${readSshCa(new Secret(CA_KEY)).publicKey.toString('base64')}`);
    expect(shown.isSignedBy(CA.toPublic())).toBe(true);
    expect(shown.isSignedBy(sshpk.generatePrivateKey('ed25519').toPublic())).toBe(false);
  });

  it('L7 declares what a list is worth', () => {
    expect(createSshIssuer(options()).revocation).toBe('next_use');
    expect(createSshIssuer(options({ sharedKrl: false })).revocation).toBe('expiry_only');
    expect(createSshIssuer(options({ krlFile: undefined })).revocation).toBe('expiry_only');
  });

  it('L2 is not given out where it could not be revoked', async () => {
    const by = createSshIssuer(options({ krlFile: join(folder, 'missing', 'revoked') }));
    const lease = newLease(by);
    await expect(by.issue({ ...requestFor(lease, AbortSignal.timeout(5_000)), ...ask })).rejects.toMatchObject({
      code: 'ERR_CREDENTIAL_ISSUE',
      where: 'test servers',
      hint: expect.stringContaining('krlFile'),
    });
    await expect(by.revoke(lease, undefined)).rejects.toMatchObject({
      code: 'ERR_CREDENTIAL_REVOKE',
      hint: expect.stringMatching(/.+/),
    });
  });

  it('L3 is not made for a lease that has ended, or ends within this second', async () => {
    const by = createSshIssuer(options({ clock: () => 1_800_000_000_500 }));
    for (const expiresAt of [1_799_999_999_000, 1_800_000_000_900]) {
      await expect(
        by.issue({ ...requestFor(newLease(by), AbortSignal.timeout(5_000)), ...ask, expiresAt }),
      ).rejects.toMatchObject({ code: 'ERR_CREDENTIAL_ISSUE' });
    }
  });

  it('L2 is found by the row where the handle was lost, as it was intended or recorded', async () => {
    const by = createSshIssuer(options());
    const lease = newLease(by);
    const native = lease.expiresAt + 5_000;
    const request = { ...requestFor(lease, AbortSignal.timeout(5_000)), ...ask, expiresAt: native };
    const { fields } = await by.issue(request);
    await by.revoke({ ...lease, nativeExpiresAt: native }, undefined);
    const sshd = { ca: CA.toPublic(), principal: 'deploy', krlFile: join(folder, 'revoked'), clock: Date.now };
    const parts = { privateKey: fields.privateKey?.reveal() ?? '', certificate: fields.certificate?.reveal() ?? '' };
    expect((await judge(sshd, parts)).isIn).toBe(false);
  });

  it('L4 is revoked under the authority that signed it, whatever signs now; under the one that signs now where its handle names none', async () => {
    const now = sshpk.generatePrivateKey('ed25519').toString('openssh');
    for (const [caKey, isBare] of [
      [now, false],
      ['no key any more', false],
      [CA_KEY, true],
    ] as const) {
      const by = createSshIssuer(options());
      const lease = newLease(by);
      const { fields, handle } = await by.issue({ ...requestFor(lease, AbortSignal.timeout(5_000)), ...ask });
      const sshd = { ca: CA.toPublic(), principal: 'deploy', krlFile: join(folder, 'revoked'), clock: Date.now };
      const parts = { privateKey: fields.privateKey?.reveal() ?? '', certificate: fields.certificate?.reveal() ?? '' };
      expect((await judge(sshd, parts)).isIn).toBe(true);
      const [serial = ''] = handle?.reveal().split(' ') ?? [];
      const later = createSshIssuer(options({ caKey: async () => new Secret(caKey) }));
      await later.revoke(lease, isBare ? new Secret(serial) : handle);
      expect((await judge(sshd, parts)).isIn).toBe(false);
    }
  });

  it('touches nothing whose name is none of ours', async () => {
    const by = createSshIssuer(options());
    await expect(by.revoke({ ...newLease(by), tag: 'root' }, undefined)).rejects.toMatchObject({
      code: 'ERR_CREDENTIAL_REVOKE',
    });
  });
});

describe('an authority', () => {
  it.each([
    ['ed25519', CA_KEY, 'ssh-ed25519', 64],
    ['ecdsa', sshpk.generatePrivateKey('ecdsa').toString('pkcs8'), 'ecdsa-sha2-nistp256', undefined],
    [
      'rsa',
      generateKeyPairSync('rsa', { modulusLength: 2048 })
        .privateKey.export({ type: 'pkcs8', format: 'pem' })
        .toString(),
      'rsa-sha2-512',
      256,
    ],
  ])('of kind %s signs by a hash that is not SHA-1', (_, key, algorithm, length) => {
    const ca = readSshCa(new Secret(key));
    const reader = readSsh(ca.sign(Buffer.from('what is signed')));
    expect(reader.text().toString()).toBe(algorithm);
    const signature = reader.text();
    if (length !== undefined) expect(signature).toHaveLength(length);
  });

  it('L6 that cannot be read is refused without what it holds', () => {
    expect(() => readSshCa(new Secret('canary-no-key'))).toThrow(
      /^caKey is no private key of SSH without a passphrase$/,
    );
  });
});
