/**
 * FAKE: as much of a MySQL or MariaDB as the MySQL issuer and a login of its leases use, on the wire: accounts with native passwords, the list of
 * sessions, KILL, locks by name, events that are kept and never run, `SELECT 1`. It reads statements by their first words and checks no
 * right. `npm run services` runs the same suite against a real MariaDB; no real MySQL has been asked. Never a part of the product.
 */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo, Server, Socket } from 'node:net';
import { type Connection, createServer } from 'mysql2';

export interface FakeMysqlServer {
  readonly host: '127.0.0.1';
  readonly port: number;
  readonly password: string;
  /** Every statement that came, as it came. */
  readonly statements: readonly string[];
  readonly users: ReadonlyMap<string, unknown>;
  readonly events: ReadonlySet<string>;
  /** Answers nothing until it is set back. */
  isHung: boolean;
  /** Answers this statement with an error, `[number, text]`. */
  refuse: ((sql: string) => readonly [number, string] | undefined) | undefined;
  /** Lists somebody who is logging in, and takes their time. */
  strangers: number;
  stop(): Promise<void>;
}

interface User {
  readonly host: string;
  readonly hash: Buffer;
}

interface Session {
  readonly id: number;
  readonly wire: Wire;
  user: string;
}

/** What the library's types leave out of its server side. */
type Wire = Connection & {
  stream: Socket;
  sequenceId: number;
  serverHandshake(args: object): void;
  writeColumns(columns: readonly object[]): void;
  writeTextRow(row: readonly unknown[]): void;
  writeEof(): void;
  writeOk(): void;
  writeError(error: { code: number; message: string }): void;
};

type Row = Readonly<Record<string, string | number | null>>;

const sha1 = (bytes: string | Buffer): Buffer => createHash('sha1').update(bytes).digest();
const CAPABILITIES = 0x1 | 0x2 | 0x8 | 0x200 | 0x2000 | 0x8000 | 0x80000;

export async function startFakeMysql(options: { version?: string; password?: string } = {}): Promise<FakeMysqlServer> {
  const { version = '8.4.0', password = 'canary-mysql-admin-61' } = options;
  const users = new Map<string, User>([['remit_admin', { host: '%', hash: sha1(sha1(password)) }]]);
  const events = new Set<string>();
  const sessions = new Map<number, Session>();
  const locks = new Map<string, number>();
  const statements: string[] = [];
  let held: (() => void)[] = [];
  let isHung = false;
  let ids = 0;

  const server = createServer((connection) => {
    const wire = connection as unknown as Wire;
    const session: Session = { id: ++ids, wire, user: 'unauthenticated user' };
    sessions.set(session.id, session);
    wire.on('error', () => {});
    wire.stream.setNoDelay(true);
    wire.stream.on('close', () => {
      sessions.delete(session.id);
      for (const [name, id] of locks) if (id === session.id) locks.delete(name);
    });
    wire.serverHandshake({
      protocolVersion: 10,
      serverVersion: version,
      connectionId: session.id,
      statusFlags: 2,
      characterSet: 8,
      capabilityFlags: CAPABILITIES,
      authCallback: (
        login: { user: string; authPluginData1: Buffer; authPluginData2: Buffer; authToken: Buffer },
        done: (error: null, refusal?: { message: string; code: number }) => void,
      ) => {
        const user = users.get(login.user);
        const seed = Buffer.concat([login.authPluginData1, login.authPluginData2]);
        if (user === undefined || !isProof(login.authToken, seed, user.hash)) {
          return done(null, { message: `Access denied for user '${login.user}'`, code: 1045 });
        }
        session.user = login.user;
        done(null);
        wire.sequenceId = 0;
      },
    });
    const hear = (sql: string): void => {
      statements.push(sql);
      const now = (): void => {
        if (sessions.has(session.id)) reply(session, sql);
      };
      if (isHung) held.push(now);
      else now();
    };
    // The library's server takes SET for a prepared statement.
    for (const event of ['query', 'stmt_prepare']) wire.on(event, hear);
  });

  function reply(session: Session, sql: string): void {
    const { wire } = session;
    // An answer counts its packets from its request's on, and goes out in one piece.
    wire.sequenceId = 1;
    wire.stream.cork();
    answer(session, sql);
    wire.stream.uncork();
    wire.sequenceId = 0;
  }

  function answer({ wire, id }: Session, sql: string): void {
    const refusal = fake.refuse?.(sql);
    const rows = refusal?.[0] ?? carryOut(id, sql);
    if (typeof rows === 'number') wire.writeError({ code: rows, message: refusal?.[1] ?? 'no' });
    else if (rows === undefined) wire.writeOk();
    else writeRows(wire, rows);
  }

  function writeRows(wire: Wire, rows: readonly Row[]): void {
    const names = Object.keys(rows[0] ?? { none: '' });
    const isNumber = (name: string) => typeof rows[0]?.[name] === 'number';
    wire.writeColumns(names.map((name) => columnOf(name, isNumber(name))));
    for (const row of rows) wire.writeTextRow(names.map((name) => row[name]));
    wire.writeEof();
  }

  /** Rows, nothing, or the number of an error. */
  function carryOut(id: number, sql: string): readonly Row[] | number | undefined {
    const names = [...sql.matchAll(/'([^']*)'/g)].map(([, name = '']) => name);
    const [first = '', second = ''] = names;
    const words = sql.split(/\s+/).slice(0, 2).join(' ').toUpperCase();
    switch (words) {
      case 'SELECT VERSION()':
        return [{ version }];
      case 'SELECT COUNT(*)':
        return [{ count: 0 }];
      case 'SELECT 1':
        return [{ 1: 1 }];
      case 'SELECT @@GLOBAL.EVENT_SCHEDULER':
        return [{ scheduler: 'ON' }];
      case 'SELECT HOST':
        return users.has(first) ? [{ host: users.get(first)?.host ?? '' }] : [];
      case 'SELECT ID':
        return [
          ...[...sessions.values()].filter(({ user }) => names.includes(user)),
          ...Array.from({ length: names.includes('unauthenticated user') ? fake.strangers : 0 }, (_, at) => ({
            id: 9_000 + at,
            user: 'unauthenticated user',
          })),
        ].map((one) => ({ id: one.id, name: one.user }));
      case 'KILL CONNECTION':
        return killById(Number(sql.split(' ').at(-1)));
      case 'KILL HARD':
        for (const session of sessions.values()) if (session.user === first) session.wire.stream.destroy();
        return undefined;
      case 'CREATE USER':
        if (users.has(first)) return 1396;
        return createUser(sql, first, second);
      case 'DROP USER':
        users.delete(first);
        return undefined;
      case 'CREATE EVENT':
        events.add(tagIn(sql));
        return undefined;
      case 'DROP EVENT':
        events.delete(tagIn(sql));
        return undefined;
      default:
        return lockOrNothing(id, sql, first);
    }
  }

  function createUser(sql: string, name: string, host: string): readonly Row[] | undefined {
    const hash = /USING '\*([0-9A-F]{40})'/.exec(sql)?.[1];
    const generated = hash === undefined ? randomBytes(30).toString('base64') : undefined;
    users.set(name, { host, hash: hash === undefined ? sha1(sha1(generated ?? '')) : Buffer.from(hash, 'hex') });
    if (generated === undefined) return undefined;
    return [{ user: name, host, 'generated password': generated, auth_factor: 1 }];
  }

  function killById(id: number): number | undefined {
    if (id >= 9_000) fake.strangers = 0;
    else if (!sessions.has(id)) return 1094;
    sessions.get(id)?.wire.stream.destroy();
    sessions.delete(id);
    return undefined;
  }

  function lockOrNothing(id: number, sql: string, name: string): readonly Row[] | undefined {
    if (sql.startsWith('SELECT GET_LOCK')) {
      if (!locks.has(name)) locks.set(name, id);
      return [{ got: locks.get(name) === id ? 1 : 0 }];
    }
    if (sql.startsWith('SELECT IS_USED_LOCK')) return [{ id: locks.get(name) ?? null }];
    if (sql.startsWith('DO RELEASE_LOCK')) locks.delete(name);
    return undefined;
  }

  server.listen(0);
  const socket = (server as unknown as { _server: Server })._server;
  await once(socket, 'listening');
  const fake: FakeMysqlServer = {
    host: '127.0.0.1',
    port: (socket.address() as AddressInfo).port,
    password,
    statements,
    users,
    events,
    refuse: undefined,
    strangers: 0,
    get isHung() {
      return isHung;
    },
    set isHung(value) {
      isHung = value;
      if (value) return;
      for (const now of held.splice(0)) now();
    },
    async stop() {
      held = [];
      for (const { wire } of sessions.values()) wire.stream.destroy();
      socket.close();
      await once(socket, 'close');
    },
  };
  return fake;
}

function tagIn(sql: string): string {
  return /\.`([^`]*)`/.exec(sql)?.[1] ?? '';
}

/** `mysql_native_password`: the token is SHA1(password) XOR SHA1(seed, hash). */
function isProof(token: Buffer, seed: Buffer, hash: Buffer): boolean {
  if (token.length !== 20) return false;
  const mask = sha1(Buffer.concat([seed, hash]));
  return sha1(Buffer.from(token.map((byte, at) => byte ^ (mask[at] as number)))).equals(hash);
}

function columnOf(name: string, isNumber: boolean): object {
  return {
    catalog: 'def',
    schema: '',
    table: '',
    orgTable: '',
    name,
    orgName: name,
    characterSet: 33,
    columnLength: 255,
    columnType: isNumber ? 8 : 253,
    flags: 0,
    decimals: 0,
  };
}
