/**
 * FAKE: as much of a Redis as the Redis issuer and a client of its leases use: AUTH, ACL SETUSER, GETUSER, DELUSER, SAVE, PING, SELECT, GET,
 * SET, SCAN, and the end of a user's connections with the user. `npm run services` runs the same tests against a real one. Never a part of
 * the product.
 */
import { createHash } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { createServer, type Server, type Socket } from 'node:net';

interface User {
  readonly hash: string | undefined;
  readonly rules: readonly string[];
}

interface Connection {
  readonly socket: Socket;
  user: string | undefined;
}

export interface FakeRedisServer {
  readonly host: '127.0.0.1';
  readonly port: number;
  readonly password: string;
  /** Every command that came, as it came. */
  readonly commands: readonly (readonly string[])[];
  readonly users: ReadonlyMap<string, User>;
  /** Names of users at the last ACL SAVE. */
  readonly saved: readonly string[];
  /** Answers nothing until it is set back. */
  isHung: boolean;
  stop(): Promise<void>;
}

const READS = new Set(['get', 'scan']);
const WRITES = new Set(['set']);
const KEYED = new Set(['get', 'set']);
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

export async function startFakeRedis(password = 'canary-redis-admin-40b1'): Promise<FakeRedisServer> {
  const users = new Map<string, User>([['default', { hash: sha256(password), rules: ['~*', '+@all'] }]]);
  const values = new Map<string, string>();
  const commands: string[][] = [];
  const connections = new Set<Connection>();
  let saved: string[] = [];
  let held: (() => void)[] = [];
  let isHung = false;

  const server: Server = createServer((socket) => {
    const connection: Connection = { socket, user: undefined };
    connections.add(connection);
    let unread = Buffer.alloc(0);
    socket.on('error', () => {});
    socket.on('close', () => connections.delete(connection));
    socket.on('data', (chunk) => {
      unread = Buffer.concat([unread, chunk]);
      for (let read = readCommand(unread); read !== undefined; read = readCommand(unread)) {
        unread = unread.subarray(read.size);
        const { command } = read;
        const answer = (): void => {
          if (!socket.destroyed) socket.write(carryOut(connection, command));
        };
        if (isHung) held.push(answer);
        else answer();
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));

  function carryOut(connection: Connection, command: string[]): string {
    commands.push(command);
    const [name = '', ...args] = [(command[0] ?? '').toLowerCase(), ...command.slice(1)];
    if (name === 'auth') return authenticate(connection, args);
    const user = connection.user === undefined ? undefined : users.get(connection.user);
    if (user === undefined) return '-NOAUTH Authentication required.\r\n';
    const refusal = refusalOf(user, connection.user ?? '', name, args);
    if (refusal !== undefined) return refusal;
    switch (name) {
      case 'ping':
        return '+PONG\r\n';
      case 'select':
      case 'client':
        return '+OK\r\n';
      case 'get':
        return bulk(values.get(args[0] ?? ''));
      case 'set':
        values.set(args[0] ?? '', args[1] ?? '');
        return '+OK\r\n';
      case 'scan':
        return `*2\r\n$1\r\n0\r\n*${values.size}\r\n${[...values.keys()].map(bulk).join('')}`;
      case 'acl':
        return acl((args[0] ?? '').toLowerCase(), args.slice(1));
      default:
        return `-ERR unknown command '${name}'\r\n`;
    }
  }

  function authenticate(connection: Connection, args: string[]): string {
    const [name = '', secret = ''] = args.length === 1 ? ['default', ...args] : args;
    const user = users.get(name);
    if (user?.hash === undefined || user.hash !== sha256(secret)) {
      return '-WRONGPASS invalid username-password pair or user is disabled.\r\n';
    }
    connection.user = name;
    return '+OK\r\n';
  }

  function acl(verb: string, args: string[]): string {
    switch (verb) {
      case 'setuser': {
        const [name = '', ...rules] = args;
        const odd = rules.find(
          (rule) => !/^(reset|on|#[0-9a-f]{64}|%R~\S+|~\S+|[+-]@?[a-z]+([|][a-z0-9]+)?)$/.test(rule),
        );
        if (odd !== undefined) return `-ERR Error in ACL SETUSER modifier '${odd}': Syntax error\r\n`;
        users.set(name, { hash: rules.find((rule) => rule.startsWith('#'))?.slice(1), rules });
        return '+OK\r\n';
      }
      case 'getuser': {
        const user = users.get(args[0] ?? '');
        return user === undefined ? '*-1\r\n' : `*2\r\n${bulk('passwords')}*1\r\n${bulk(user.hash)}`;
      }
      case 'deluser': {
        const [name = ''] = args;
        const found = users.delete(name);
        for (const one of connections) if (one.user === name) one.socket.destroy();
        return `:${found ? 1 : 0}\r\n`;
      }
      case 'save':
        saved = [...users.keys()];
        return '+OK\r\n';
      default:
        return `-ERR unknown subcommand '${verb}'\r\n`;
    }
  }

  return {
    host: '127.0.0.1',
    port: (server.address() as AddressInfo).port,
    password,
    commands,
    users,
    get saved() {
      return saved;
    },
    get isHung() {
      return isHung;
    },
    set isHung(value) {
      isHung = value;
      const answers = held;
      if (!value) held = [];
      if (!value) for (const answer of answers) answer();
    },
    stop: () =>
      new Promise((resolve) => {
        for (const { socket } of connections) socket.destroy();
        server.close(() => resolve());
      }),
  };
}

/** Of the rules only what the tests look at: the two categories, single commands, and key patterns with `*`. */
function refusalOf({ rules }: User, user: string, name: string, args: readonly string[]): string | undefined {
  const full =
    name === 'select' || name === 'client' || name === 'acl' ? `${name}|${(args[0] ?? '').toLowerCase()}` : name;
  let isAllowed = false;
  for (const rule of rules) {
    const [, sign, what = ''] = /^([+-])(.+)$/.exec(rule) ?? [];
    const isMeant =
      what === '@all' ||
      what === name ||
      what === full ||
      (what === '@read' && READS.has(name)) ||
      (what === '@write' && WRITES.has(name)) ||
      (what === '@admin' && name === 'acl') ||
      (what === '@dangerous' && name === 'acl');
    if (isMeant) isAllowed = sign === '+';
  }
  if (!isAllowed) return `-NOPERM User ${user} has no permissions to run the '${full}' command\r\n`;
  const key = args[0] ?? '';
  const covers = (rule: string): boolean => {
    const [, mode, pattern] = /^(%R~|~)(.*)$/.exec(rule) ?? [];
    return pattern !== undefined && !(mode === '%R~' && WRITES.has(name)) && globOf(pattern).test(key);
  };
  if (!KEYED.has(name) || rules.some(covers)) return undefined;
  return '-NOPERM No permissions to access a key\r\n';
}

function globOf(pattern: string): RegExp {
  const parts = pattern.match(/\\.|./gs) ?? [];
  const text = parts.map((part) => (part === '*' ? '.*' : part.slice(-1).replace(/[^A-Za-z0-9]/g, '\\$&')));
  return new RegExp(`^${text.join('')}$`, 's');
}

const bulk = (text: string | undefined): string =>
  text === undefined ? '$-1\r\n' : `$${Buffer.byteLength(text)}\r\n${text}\r\n`;

/** One command in RESP: an array of bulk strings; undefined while a part of it is missing. */
function readCommand(bytes: Buffer): { command: string[]; size: number } | undefined {
  let at = 0;
  const line = (): string | undefined => {
    const end = bytes.indexOf('\r\n', at);
    if (end === -1) return undefined;
    const text = bytes.toString('utf8', at, end);
    at = end + 2;
    return text;
  };
  const count = Number(line()?.slice(1) ?? Number.NaN);
  if (Number.isNaN(count)) return undefined;
  const command: string[] = [];
  for (let index = 0; index < count; index++) {
    const length = Number(line()?.slice(1) ?? Number.NaN);
    if (Number.isNaN(length) || bytes.length < at + length + 2) return undefined;
    command.push(bytes.toString('utf8', at, at + length));
    at += length + 2;
  }
  return { command, size: at };
}
