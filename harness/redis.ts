import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { unpackDebian } from './install.ts';
import { freePort, startService } from './service.ts';

/** A real redis-server on loopback, out of Debian's packages, which are unpacked and not installed. */
export interface RedisServer {
  readonly host: '127.0.0.1';
  readonly port: number;
  readonly pid: number;
  /** Of the user `default`; undefined where it needs none. */
  readonly password: string | undefined;
  /** The file that `ACL SAVE` writes; undefined without `aclFile`. */
  readonly aclFile: string | undefined;
  readonly stop: () => Promise<void>;
}

const PACKAGES = [
  'redis-server',
  'redis-tools',
  'libjemalloc2',
  'liblua5.1-0',
  'liblzf1',
  'lua-cjson',
  'lua-bitop',
  'libhiredis0.14',
  'libatomic1',
];

export interface RedisOptions {
  /** Its working folder. */
  readonly folder: string;
  /** Gives `default` a password. It goes through a file of mode 0600, never an argument. */
  readonly withPassword?: boolean;
  /** Keeps users in a file, which the server reads when it starts. */
  readonly withAclFile?: boolean;
  /** Left out: a free one. */
  readonly port?: number;
  /** Left out: a fresh one, where there is to be one. */
  readonly password?: string;
}

/** Fetches Redis at the first use, and starts one. @throws where the packages cannot be had, or the server does not start */
export async function startRedis(options: RedisOptions): Promise<RedisServer> {
  const { folder, withPassword = false, withAclFile = false } = options;
  const root = await unpackDebian('redis', PACKAGES);
  const port = options.port ?? (await freePort());
  const libraries = ['x86_64-linux-gnu', 'aarch64-linux-gnu']
    .map((triplet) => join(root, 'usr/lib', triplet))
    .join(':');
  await mkdir(folder, { recursive: true });
  const password = options.password ?? (withPassword ? randomBytes(18).toString('base64url') : undefined);
  const aclFile = withAclFile ? join(folder, 'users.acl') : undefined;
  const lines = [`port ${port}`, 'bind 127.0.0.1', 'save ""', 'appendonly no', `dir ${folder}`];
  const user = password === undefined ? 'nopass' : `>${password}`;
  if (aclFile !== undefined) {
    await writeFile(aclFile, `user default on ${user} ~* &* +@all\n`, { mode: 0o600, flag: 'wx' }).catch(keepExisting);
    lines.push(`aclfile ${aclFile}`);
  } else if (password !== undefined) lines.push(`requirepass ${password}`);
  const settings = join(folder, `redis-${port}.conf`);
  await writeFile(settings, `${lines.join('\n')}\n`, { mode: 0o600 });
  await chmod(settings, 0o600);
  const { pid, stop } = await startService(join(root, 'usr/bin/redis-server'), [settings], {
    env: { LD_LIBRARY_PATH: libraries },
    ready: /Ready to accept connections/,
  });
  await assertAnswers(port);
  return { host: '127.0.0.1', port, pid, password, aclFile, stop };
}

/** A server that starts again finds its users. */
function keepExisting(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EEXIST') throw error;
}

async function assertAnswers(port: number): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  socket.destroy();
}
