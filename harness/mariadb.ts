import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createConnection, type RowDataPacket } from 'mysql2/promise';
import { run, unpackDebian } from './install.ts';
import { freePort, startService } from './service.ts';

/** A real mariadbd on loopback, out of Debian's packages, which are unpacked and not installed. */
export interface MariadbServer {
  readonly host: '127.0.0.1';
  readonly port: number;
  /** Of `root`, which may do everything. */
  readonly password: string;
  /** Runs statements one after the other, as root or as somebody else; gives the rows of the last. */
  readonly runSql: (
    statements: string | readonly string[],
    as?: { readonly user: string; readonly password: string; readonly tls?: boolean },
  ) => Promise<readonly RowDataPacket[]>;
  /** Everything that clients sent, as the server logs it. */
  readonly queryLog: () => Promise<string>;
  readonly stop: () => Promise<void>;
}

const PACKAGES = [
  'mariadb-server-core',
  'mariadb-client-core',
  'libaio1',
  'libnuma1',
  'libpcre2-8-0',
  'libsystemd0',
  'liburing2',
];

/** @param options.tls a key and its certificate, PEM; left out: the server has no TLS */
export async function startMariadb(
  options: { tls?: { readonly key: string; readonly cert: string } } = {},
): Promise<MariadbServer> {
  const root = await unpackDebian('mariadb', PACKAGES);
  const libraries = ['x86_64-linux-gnu', 'aarch64-linux-gnu'].map((triplet) => join(root, 'usr/lib', triplet));
  const env = { LD_LIBRARY_PATH: libraries.join(':') };
  const folder = await mkdtemp(join(tmpdir(), 'remit-mariadb-'));
  const remove = () => rm(folder, { recursive: true, force: true });
  // As who runs the harness; as root it has to be told that this is meant.
  const user = process.getuid?.() === 0 ? ['--user=root'] : [];
  try {
    const data = join(folder, 'data');
    const initial = ['--no-defaults', `--basedir=${join(root, 'usr')}`, `--datadir=${data}`, '--skip-test-db'];
    const howRoot = ['--auth-root-authentication-method=normal', '--skip-name-resolve'];
    await run(join(root, 'usr/bin/mariadb-install-db'), [...initial, ...howRoot, ...user], { env, timeoutMs: 60_000 });

    const password = randomBytes(18).toString('base64url');
    const init = join(folder, 'init.sql');
    await writeFile(init, `SET PASSWORD FOR 'root'@'127.0.0.1' = PASSWORD('${password}');\n`, { mode: 0o600 });
    const port = await freePort();
    const log = join(folder, 'queries.log');
    const tls = options.tls === undefined ? [] : await writeTls(join(folder, 'tls'), options.tls);
    const { stop } = await startService(
      join(root, 'usr/sbin/mariadbd'),
      [
        '--no-defaults',
        ...user,
        `--datadir=${data}`,
        `--basedir=${join(root, 'usr')}`,
        `--lc-messages-dir=${join(root, 'usr/share/mysql')}`,
        `--plugin-dir=${join(root, 'usr/lib/mysql/plugin')}`,
        `--socket=${join(folder, 'socket')}`,
        `--pid-file=${join(folder, 'pid')}`,
        `--port=${port}`,
        '--bind-address=127.0.0.1',
        '--skip-name-resolve',
        '--event-scheduler=ON',
        `--init-file=${init}`,
        '--general-log',
        `--general-log-file=${log}`,
        '--innodb-buffer-pool-size=16M',
        '--innodb-log-file-size=8M',
        '--innodb-flush-log-at-trx-commit=0',
        ...tls,
      ],
      { env, ready: /ready for connections/, timeoutMs: 60_000 },
    );
    return {
      host: '127.0.0.1',
      port,
      password,
      runSql: (statements, as = { user: 'root', password }) => runSql(port, [statements].flat(), as),
      queryLog: () => readFile(log, 'utf8'),
      async stop() {
        await stop();
        await remove();
      },
    };
  } catch (error) {
    await remove();
    throw error;
  }
}

async function writeTls(folder: string, { key, cert }: { key: string; cert: string }): Promise<string[]> {
  await mkdir(folder);
  await writeFile(join(folder, 'key.pem'), key, { mode: 0o600 });
  await writeFile(join(folder, 'cert.pem'), cert);
  return [`--ssl-key=${join(folder, 'key.pem')}`, `--ssl-cert=${join(folder, 'cert.pem')}`];
}

async function runSql(
  port: number,
  statements: readonly string[],
  as: { user: string; password: string; tls?: boolean },
): Promise<readonly RowDataPacket[]> {
  const { user, password, tls = false } = as;
  const connection = await createConnection({
    host: '127.0.0.1',
    port,
    user,
    password,
    // Its certificate is of its own making.
    ...(tls && { ssl: { rejectUnauthorized: false } }),
  });
  try {
    let rows: readonly RowDataPacket[] = [];
    for (const statement of statements) {
      const [answer] = await connection.query<RowDataPacket[]>(statement);
      rows = Array.isArray(answer) ? answer : [];
    }
    return rows;
  } finally {
    connection.destroy();
  }
}
