import { spawn } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { type Ran, run, unpackDebian } from './install.ts';
import { freePort, startService } from './service.ts';

/**
 * A real sshd on loopback, out of Debian's packages, which are unpacked and not installed. As root it runs in a mount namespace of its own, with accounts
 * of its own; otherwise as whoever runs the harness, who is then the one account that it lets in.
 */
export interface SshServer {
  readonly port: number;
  /** The account that a principal `deploy` may log in to. */
  readonly user: string;
  /** The authority's private key, as `ssh-keygen` writes one. */
  readonly caKey: string;
  /** `RevokedKeys`. */
  readonly krlFile: string;
  /** Folder for whatever a test writes. */
  readonly folder: string;
  /** Runs the real client with a key and its certificate. */
  readonly login: (
    parts: { readonly privateKey: string; readonly certificate: string },
    args?: readonly string[],
    options?: { readonly program?: 'ssh' | 'sftp'; readonly timeoutMs?: number; readonly input?: string },
  ) => Promise<Ran>;
  /** Runs the real `ssh-keygen`. */
  readonly keygen: (...args: string[]) => Promise<Ran>;
  readonly stop: () => Promise<void>;
}

const ACCOUNT = 'agent';

/** @param options.ca arguments of `ssh-keygen` that say what kind of key the authority has */
export async function startSshd(options: { readonly ca?: readonly string[] } = {}): Promise<SshServer> {
  await assertProgram('ssh');
  await assertProgram('ssh-keygen');
  await assertProgram('sftp');
  const root = await unpackDebian('sshd', ['openssh-server', 'libwrap0']);
  const folder = await mkdtemp(join(tmpdir(), 'remit-sshd-'));
  // Entered by the account too.
  await chmod(folder, 0o755);
  const keygen = (...args: string[]) => run('ssh-keygen', args, { cwd: folder, timeoutMs: 30_000, anyCode: true });
  const isRoot = process.getuid?.() === 0;
  const user = isRoot ? ACCOUNT : userInfo().username;
  try {
    await keygen('-q', '-t', 'ed25519', '-N', '', '-f', 'host');
    await keygen('-q', ...(options.ca ?? ['-t', 'ed25519']), '-N', '', '-f', 'ca');
    await keygen('-q', '-k', '-f', 'revoked');
    await writeFile(join(folder, 'principals'), 'deploy\n');
    await mkdir(join(folder, 'home'));
    await chmod(join(folder, 'home'), 0o777);
    const port = await freePort();
    const lines = [
      `Port ${port}`,
      'ListenAddress 127.0.0.1',
      `HostKey ${join(folder, 'host')}`,
      'PidFile none',
      'UsePAM no',
      'StrictModes no',
      'AuthorizedKeysFile none',
      `TrustedUserCAKeys ${join(folder, 'ca.pub')}`,
      `AuthorizedPrincipalsFile ${join(folder, 'principals')}`,
      `RevokedKeys ${join(folder, 'revoked')}`,
      'PasswordAuthentication no',
      'KbdInteractiveAuthentication no',
      'MaxStartups 100',
      'Subsystem sftp internal-sftp',
    ];
    await writeFile(join(folder, 'sshd.conf'), `${lines.join('\n')}\n`);
    const accounts = [
      'root:x:0:0:root:/root:/bin/sh',
      'sshd:x:100:65534::/run/sshd:/usr/sbin/nologin',
      `${ACCOUNT}:x:65533:65534::${join(folder, 'home')}:/bin/sh`,
    ];
    await writeFile(join(folder, 'passwd'), `${accounts.join('\n')}\n`);
    const libraries = ['x86_64-linux-gnu', 'aarch64-linux-gnu'].map((triplet) => join(root, 'usr/lib', triplet));
    const sshd = [join(root, 'usr/sbin/sshd'), '-D', '-e', '-f', join(folder, 'sshd.conf')];
    // Its own /etc/passwd, and the empty folder that it changes into before anybody is in.
    const inside =
      'mount --bind "$1" /etc/passwd && mount -t tmpfs none /run && mkdir -p /run/sshd && shift && exec "$@"';
    const [program = '', ...args] = isRoot
      ? ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', inside, 'sh', join(folder, 'passwd'), ...sshd]
      : sshd;
    const { stop } = await startService(program, args, {
      env: { LD_LIBRARY_PATH: libraries.join(':') },
      ready: /Server listening on/,
    });
    return {
      port,
      user,
      caKey: await readFile(join(folder, 'ca'), 'utf8'),
      krlFile: join(folder, 'revoked'),
      folder,
      keygen,
      login: (parts, command = [], more = {}) => login({ folder, port, user }, parts, command, more),
      async stop() {
        await stop();
        await rm(folder, { recursive: true, force: true });
      },
    };
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

let logins = 0;

async function login(
  server: { folder: string; port: number; user: string },
  parts: { privateKey: string; certificate: string },
  args: readonly string[],
  more: { program?: 'ssh' | 'sftp'; timeoutMs?: number; input?: string },
): Promise<Ran> {
  const key = join(server.folder, `key-${++logins}`);
  await writeFile(key, parts.privateKey, { mode: 0o600 });
  await writeFile(`${key}-cert.pub`, `${parts.certificate}\n`);
  const flags = ['-F', 'none', '-i', key, '-o', `CertificateFile=${key}-cert.pub`, '-o', `Port=${server.port}`];
  for (const option of ['IdentitiesOnly=yes', 'BatchMode=yes', 'StrictHostKeyChecking=no', 'LogLevel=ERROR']) {
    flags.push('-o', option);
  }
  flags.push('-o', 'UserKnownHostsFile=/dev/null');
  try {
    // `ssh` takes a command behind its host, `sftp` its options before it.
    const { program = 'ssh' } = more;
    const host = `${server.user}@127.0.0.1`;
    const tail = program === 'ssh' ? [host, ...args] : [...args, host];
    return await run(program, [...flags, ...tail], {
      timeoutMs: more.timeoutMs ?? 20_000,
      anyCode: true,
      env: { SSH_AUTH_SOCK: '' },
      ...(more.input !== undefined && { input: more.input }),
    });
  } finally {
    await rm(key, { force: true });
    await rm(`${key}-cert.pub`, { force: true });
  }
}

async function assertProgram(name: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const child = spawn(name, ['-V'], { stdio: 'ignore' });
    child.once('error', () => reject(new Error(`${name} (Debian: openssh-client) is not installed`)));
    child.once('exit', () => resolve());
  });
}
