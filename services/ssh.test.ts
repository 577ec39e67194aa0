import { randomBytes } from 'node:crypto';
import { access, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type SshServer, startSshd } from '../harness/sshd.ts';
import { createSshIssuer, type SshIssuerOptions } from '../src/adapters/issuers/ssh-issuer.ts';
import type { SshClass } from '../src/adapters/issuers/ssh-scope.ts';
import { Secret } from '../src/domain/secret.ts';
import type { ActionClass } from '../src/domain/tool.ts';
import type { IssuedCredential, Issuer } from '../src/seams/issuer.ts';
import { issuerSuite, newLease, requestFor } from '../test/suites/issuer-suite.ts';
import { measureIssuer } from './measure.ts';

let server: SshServer;

beforeAll(async () => {
  server = await startSshd();
});
afterAll(async () => {
  await server.stop();
});

const BARE: SshClass = {
  anyCommand: false,
  pty: false,
  portForwarding: false,
  agentForwarding: false,
  x11Forwarding: false,
};
const CLASSES: Partial<Record<ActionClass, SshClass>> = {
  read: { ...BARE, forceCommand: 'echo forced: "$SSH_ORIGINAL_COMMAND"' },
  write: { ...BARE, anyCommand: true, pty: true },
  export: { ...BARE, forceCommand: 'internal-sftp -R' },
  ticket: { ...BARE, forceCommand: 'timeout $(( {until} - $(date +%s) )) sleep 30; echo ended' },
};

function options(more: Partial<SshIssuerOptions> = {}, of = server): SshIssuerOptions {
  return {
    servers: 'test servers',
    caKey: async () => new Secret(of.caKey),
    classes: CLASSES,
    sourceAddresses: [],
    krlFile: of.krlFile,
    sharedKrl: true,
    clock: Date.now,
    random: randomBytes,
    ...more,
  };
}

const partsOf = ({ fields }: Pick<IssuedCredential, 'fields'>) => ({
  privateKey: fields.privateKey?.reveal() ?? '',
  certificate: fields.certificate?.reveal() ?? '',
});

const serialOf = ({ handle }: IssuedCredential): string => handle?.reveal().split(' ')[0] ?? '';

async function issue(by: Issuer, resources: string[], actionClasses: ActionClass[], lifeMs = 60_000) {
  const lease = { ...newLease(by), expiresAt: Date.now() + lifeMs };
  const issued = await by.issue({ ...requestFor(lease, AbortSignal.timeout(10_000)), resources, actionClasses });
  return { lease, issued };
}

issuerSuite('ssh, against sshd', async () => ({
  issuer: createSshIssuer(options()),
  other: () => createSshIssuer(options()),
  clock: Date.now,
  resources: ['deploy'],
  actionClasses: ['read'],
  canUse: async (fields) => (await server.login(partsOf({ fields }), ['x'])).code === 0,
  exists: undefined,
  broken: [
    createSshIssuer(options({ caKey: async () => new Secret('canary-no-key-5') })),
    createSshIssuer(options({ caKey: async () => new Secret(await locked()) })),
    createSshIssuer(options({ krlFile: join(server.folder, 'no-such-folder', 'revoked') })),
    createSshIssuer(options({ krlFile: join(server.folder, 'host') })),
  ],
  secrets: [server.caKey, server.caKey.split('\n')[2] ?? '', 'canary-no-key-5'],
  stop: async () => {},
}));

/** A key that needs a passphrase. */
async function locked(): Promise<string> {
  await server.keygen('-q', '-t', 'ed25519', '-N', 'passphrase', '-f', 'locked');
  return readFile(join(server.folder, 'locked'), 'utf8');
}

describe('a leased certificate at a real sshd', () => {
  let issuer: Issuer;
  beforeAll(() => {
    issuer = createSshIssuer(options());
  });

  it('runs its forced command whatever is asked for, without a terminal or a forwarding', async () => {
    const { issued } = await issue(issuer, ['deploy'], ['read']);
    expect(issued.scope).toBe('log in as deploy for echo forced: "$SSH_ORIGINAL_COMMAND"');
    const ran = await server.login(partsOf(issued), ['rm -rf /']);
    expect(ran).toMatchObject({ code: 0, stdout: 'forced: rm -rf /\n' });
    const tty = await server.login(partsOf(issued), ['-tt', 'x']);
    expect(tty.stderr).toContain('PTY allocation request failed');
    const forwarded = await server.login(partsOf(issued), [
      '-R',
      '0:127.0.0.1:1',
      '-o',
      'ExitOnForwardFailure=yes',
      'x',
    ]);
    expect(forwarded.stderr).toContain('remote port forwarding failed');
  });

  it('reads by a forced internal-sftp -R, and writes nothing', async () => {
    const { issued } = await issue(issuer, ['deploy'], ['export']);
    await writeFile(join(server.folder, 'home', 'report.txt'), 'for the agent\n');
    const got = join(server.folder, 'got.txt');
    const read = await server.login(partsOf(issued), ['-b', '-'], {
      program: 'sftp',
      input: `get ${join(server.folder, 'home', 'report.txt')} ${got}\n`,
    });
    expect(read.code).toBe(0);
    expect(await readFile(got, 'utf8')).toBe('for the agent\n');
    const written = await server.login(partsOf(issued), ['-b', '-'], {
      program: 'sftp',
      input: `put ${got} ${join(server.folder, 'home', 'mine.txt')}\n`,
    });
    expect(written.stderr).toMatch(/permission denied/i);
    const shell = await server.login(partsOf(issued), ['echo in'], { timeoutMs: 10_000 });
    expect(shell.stdout).not.toContain('in\n');
  });

  it('runs any command where its class says so', async () => {
    const { issued } = await issue(issuer, ['deploy'], ['write']);
    expect(await server.login(partsOf(issued), ['echo', 'free'])).toMatchObject({ code: 0, stdout: 'free\n' });
  });

  it('opens no account that its principals do not name, and for the gateway’s own discovery none', async () => {
    const { issued } = await issue(issuer, ['backup'], ['read']);
    expect((await server.login(partsOf(issued), ['x'])).stderr).toContain('Permission denied');
    const bare = await issue(issuer, [], []);
    expect(bare.issued.scope).toBe('no rights');
    expect((await server.login(partsOf(bare.issued), ['x'])).stderr).toContain('Permission denied');
  });

  it('comes from its source addresses alone', async () => {
    for (const [from, code] of [
      ['127.0.0.0/8', 0],
      ['192.0.2.0/24', 255],
    ] as const) {
      const by = createSshIssuer(options({ sourceAddresses: [from] }));
      const { issued } = await issue(by, ['deploy'], ['read']);
      expect((await server.login(partsOf(issued), ['x'])).code).toBe(code);
    }
  });

  it('is what ssh-keygen reads: principals, serial, key id, ends, options', async () => {
    const { lease, issued } = await issue(issuer, ['deploy', 'backup'], ['write']);
    await writeFile(join(server.folder, 'shown-cert.pub'), partsOf(issued).certificate);
    const { stdout } = await server.keygen('-L', '-f', 'shown-cert.pub');
    expect(stdout).toContain('user certificate');
    expect(stdout).toContain(`Key ID: "${lease.tag}"`);
    expect(stdout).toContain(`Serial: ${serialOf(issued)}\n`);
    expect(stdout).toMatch(/Principals: \n\s+deploy\n\s+backup\n/);
    expect(stdout).toMatch(/Critical Options: \(none\)\n\s+Extensions: \n\s+permit-pty\n$/);
    await writeFile(join(server.folder, 'shown'), partsOf(issued).privateKey, { mode: 0o600 });
    const { stdout: own } = await server.keygen('-y', '-f', 'shown');
    expect(own).toMatch(new RegExp(`^ssh-ed25519 \\S+ ${lease.tag}\\n$`));
  });

  it('L3 is refused by the server itself from the end of its lease on', async () => {
    const { issued } = await issue(issuer, ['deploy'], ['read'], 3_000);
    expect(issued.nativeExpiresAt).toBeLessThanOrEqual(Date.now() + 3_000);
    expect((await server.login(partsOf(issued), ['x'])).code).toBe(0);
    await delay(Math.max(0, (issued.nativeExpiresAt ?? 0) - Date.now()));
    expect((await server.login(partsOf(issued), ['x'])).code).toBe(255);
  });

  it('L7 keeps a session that is open when it is revoked, and so claims no more than the next use', async () => {
    const { lease, issued } = await issue(issuer, ['deploy'], ['write']);
    expect(issuer.revocation).toBe('next_use');
    const [begun, revoked] = ['begun', 'told'].map((name) => join(server.folder, 'home', name));
    const script = `touch ${begun}; until [ -e ${revoked} ]; do sleep 0.05; done; echo still here`;
    const open = server.login(partsOf(issued), [script]);
    await vi.waitFor(() => access(begun ?? ''), { timeout: 10_000 });
    await issuer.revoke(lease, issued.handle);
    await writeFile(revoked ?? '', '');
    expect((await open).stdout).toBe('still here\n');
    expect((await server.login(partsOf(issued), ['x'])).stderr).toContain('Permission denied');
  });

  it('L3 ends its session with its lease where the forced command sees to that', async () => {
    const { issued } = await issue(issuer, ['deploy'], ['ticket'], 3_000);
    const ran = await server.login(partsOf(issued), ['x']);
    expect(ran.stdout).toBe('ended\n');
    expect(Date.now()).toBeLessThan((issued.nativeExpiresAt ?? 0) + 2_000);
  });

  it('L2 is revoked by its row and the vault alone, where a crash lost the handle', async () => {
    const { lease, issued } = await issue(issuer, ['deploy'], ['read']);
    await createSshIssuer(options()).revoke(lease, undefined);
    expect((await server.login(partsOf(issued), ['x'])).code).toBe(255);
  });

  it('L4 is revoked where another authority signs by now', async () => {
    const { lease, issued } = await issue(issuer, ['deploy'], ['read']);
    const other = await startSshd();
    try {
      await createSshIssuer(options({ caKey: async () => new Secret(other.caKey) })).revoke(lease, issued.handle);
    } finally {
      await other.stop();
    }
    expect((await server.login(partsOf(issued), ['x'])).code).toBe(255);
  });

  it('L4 is revoked by several processes at once, and none takes another’s entry out', async () => {
    const gateways = Array.from({ length: 4 }, () => createSshIssuer(options()));
    const made = [];
    for (const by of gateways)
      for (let at = 0; at < 10; at++) made.push({ by, ...(await issue(by, ['deploy'], ['read'])) });
    await Promise.all(made.map(({ by, lease, issued }) => by.revoke(lease, issued.handle)));
    for (const { issued } of made) {
      await writeFile(join(server.folder, 'one-cert.pub'), partsOf(issued).certificate);
      expect((await server.keygen('-Q', '-f', server.krlFile, 'one-cert.pub')).stdout).toContain('REVOKED');
    }
  });

  it('L4 the list stays one that sshd can read while it is written: nobody else is shut out', async () => {
    const other = await issue(issuer, ['deploy'], ['read']);
    let isOver = false;
    const writing = (async () => {
      while (!isOver) {
        const { lease, issued } = await issue(issuer, ['deploy'], ['read']);
        await issuer.revoke(lease, issued.handle);
      }
    })();
    for (let at = 0; at < 10; at++) expect((await server.login(partsOf(other.issued), ['x'])).code).toBe(0);
    isOver = true;
    await writing;
  });

  it('keeps what an administrator revoked with ssh-keygen, and is kept by it', async () => {
    const [theirs, ours] = [await issue(issuer, ['deploy'], ['read']), await issue(issuer, ['deploy'], ['read'])];
    await writeFile(
      join(server.folder, 'spec'),
      `serial: 5\nserial: 100-200\nid: somebody\nserial: ${serialOf(theirs.issued)}\n`,
    );
    await server.keygen('-k', '-u', '-s', 'ca.pub', '-f', server.krlFile, 'spec');
    await issuer.revoke(ours.lease, ours.issued.handle);
    const { stdout } = await server.keygen('-Q', '-l', '-f', server.krlFile);
    expect(stdout).toContain('serial: 5\n');
    expect(stdout).toContain('serial: 100-200');
    expect(stdout).toContain('id: somebody');
    for (const { issued } of [theirs, ours]) expect((await server.login(partsOf(issued), ['x'])).code).toBe(255);
    await server.keygen('-k', '-u', '-s', 'ca.pub', '-f', server.krlFile, 'spec');
    expect((await server.login(partsOf(ours.issued), ['x'])).code).toBe(255);
  });

  it.each([
    ['rsa', ['-t', 'rsa', '-b', '3072']],
    ['ecdsa', ['-t', 'ecdsa', '-b', '384']],
  ])('is signed by an authority of kind %s as well', async (_, ca) => {
    const other = await startSshd({ ca });
    try {
      const by = createSshIssuer(options({}, other));
      const { lease, issued } = await issue(by, ['deploy'], ['read']);
      expect((await other.login(partsOf(issued), ['x'])).code).toBe(0);
      await by.revoke(lease, issued.handle);
      expect((await other.login(partsOf(issued), ['x'])).code).toBe(255);
    } finally {
      await other.stop();
    }
  });

  it('costs what is measured', async () => {
    const cost = await measureIssuer('ssh', issuer, { resources: ['deploy'], actionClasses: ['read'] }, 100);
    expect(cost.issue).toBeLessThan(100);
  });
});
