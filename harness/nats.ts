import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type Account,
  Algorithms,
  decode,
  encode,
  encodeAccount,
  encodeOperator,
  encodeUser,
  fmtCreds,
} from '@nats-io/jwt';
import { createAccount, createOperator, createUser, type KeyPair } from '@nats-io/nkeys';
import { unpackDebian } from './install.ts';
import { freePort, startService } from './service.ts';

/** Real nats-servers on loopback in operator mode with a full resolver, out of Debian's packages, which are unpacked and not installed. */
export interface NatsServers {
  /** `nats://127.0.0.1:port`, one a server. */
  readonly urls: readonly string[];
  /** Public keys. */
  readonly account: string;
  readonly otherAccount: string;
  /** The operator's identity. */
  readonly operator: string;
  /** Seeds: the operator's identity, its signing key, the account's signing key, and one that has a role. */
  readonly seeds: {
    readonly operator: string;
    readonly operatorSigning: string;
    readonly account: string;
    readonly scoped: string;
  };
  /** `.creds` of a user of the system account, and of one in the account that may do everything and is no lease. */
  readonly systemCredentials: string;
  readonly userCredentials: string;
  /** The account's JWT as a server keeps it on disk. */
  readonly accountJwt: (server?: number) => Promise<string>;
  /** A change of the account as an administrator makes one with `nsc`: signed by the operator's identity. */
  readonly change: (jwt: string, edit: (account: Partial<Account>) => void) => Promise<string>;
  readonly stopOne: (server: number) => Promise<void>;
  readonly stop: () => Promise<void>;
}

/** Left out, every limit is zero. */
const UNLIMITED = {
  subs: -1,
  conn: -1,
  leaf: -1,
  imports: -1,
  exports: -1,
  data: -1,
  payload: -1,
  wildcards: true,
} as never;

export async function startNats(count = 1): Promise<NatsServers> {
  const root = await unpackDebian('nats', ['nats-server']);
  const folder = await mkdtemp(join(tmpdir(), 'remit-nats-'));
  const [operator, operatorSigning, system, account, other] = [
    createOperator(),
    createOperator(),
    createAccount(),
    createAccount(),
    createAccount(),
  ];
  const [signing, scoped] = [createAccount(), createAccount()];
  const operatorJwt = await encodeOperator('remit-tests', operator, {
    signing_keys: [operatorSigning.getPublicKey()] as never,
    system_account: system.getPublicKey(),
  });
  const accounts = {
    [system.getPublicKey()]: await encodeAccount('SYS', system, { limits: UNLIMITED }, { signer: operator }),
    [account.getPublicKey()]: await encodeAccount(
      'BUS',
      account,
      {
        limits: UNLIMITED,
        signing_keys: [
          signing.getPublicKey(),
          { kind: 'user_scope', key: scoped.getPublicKey(), role: 'x', template: {} },
        ] as never,
      },
      { signer: operator },
    ),
    [other.getPublicKey()]: await encodeAccount('OTHER', other, { limits: UNLIMITED }, { signer: operator }),
  };
  const ports = await Promise.all(Array.from({ length: count * 2 }, () => freePort()));
  const [clients, routes] = [ports.slice(0, count), ports.slice(count)];
  const started: { stop: () => Promise<void> }[] = [];
  const stop = async () => {
    await Promise.all(started.map((one) => one.stop()));
    await rm(folder, { recursive: true, force: true });
  };
  try {
    for (const [at, port] of clients.entries()) {
      const jwts = join(folder, `jwt-${at}`);
      await mkdir(jwts);
      const settings = join(folder, `server-${at}.conf`);
      const lines = [
        `server_name: n${at}`,
        `listen: 127.0.0.1:${port}`,
        `operator: ${operatorJwt}`,
        `system_account: ${system.getPublicKey()}`,
        `resolver: { type: full, dir: "${jwts}", allow_delete: false, interval: "1s" }`,
        `resolver_preload: { ${Object.entries(accounts)
          .map(([key, jwt]) => `${key}: ${jwt}`)
          .join(', ')} }`,
      ];
      if (count > 1) {
        const others = routes.map((route) => `"nats-route://127.0.0.1:${route}"`).join(', ');
        lines.push(`cluster: { name: c, listen: "127.0.0.1:${routes[at]}", routes: [${others}] }`);
      }
      await writeFile(settings, `${lines.join('\n')}\n`, { mode: 0o600 });
      started.push(
        await startService(join(root, 'usr/sbin/nats-server'), ['-c', settings], { ready: /Server is ready/ }),
      );
    }
  } catch (error) {
    await stop();
    throw error;
  }
  const text = (pair: KeyPair) => new TextDecoder().decode(pair.getSeed());
  const credentials = async (of: KeyPair) => {
    const user = createUser();
    return new TextDecoder().decode(fmtCreds(await encodeUser('u', user, of), user));
  };
  return {
    urls: clients.map((port) => `nats://127.0.0.1:${port}`),
    account: account.getPublicKey(),
    otherAccount: other.getPublicKey(),
    operator: operator.getPublicKey(),
    seeds: {
      operator: text(operator),
      operatorSigning: text(operatorSigning),
      account: text(signing),
      scoped: text(scoped),
    },
    systemCredentials: await credentials(system),
    userCredentials: await credentials(account),
    async accountJwt(server = 0) {
      const file = join(folder, `jwt-${server}`, `${account.getPublicKey()}.jwt`);
      // A server writes it in place: what is half written is read again.
      for (;;) {
        const jwt = await readFile(file, 'utf8');
        if (jwt.split('.')[2]?.length === 86) return jwt;
      }
    },
    change(jwt, edit) {
      const claims = decode<Account>(jwt);
      edit(claims.nats);
      return encode(Algorithms.v2, claims, operator);
    },
    stopOne: async (server) => started[server]?.stop(),
    stop,
  };
}
