import { resolve } from 'node:path';
import { type Account, decode } from '@nats-io/jwt';
import { connect, credsAuthenticator, type NatsConnection } from '@nats-io/transport-node';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { commandLines, environmentOf } from '../demo/processes.ts';
import { type MariadbServer, startMariadb } from '../harness/mariadb.ts';
import { type NatsServers, startNats } from '../harness/nats.ts';
import { type SshServer, startSshd } from '../harness/sshd.ts';
import type { LeaseView } from '../src/leases/lease-view.ts';
import { endAll, run, startUp, type Up } from '../test/cli/remit.ts';
import { connectTo, type Estate, makeClient, makeEstate, takeTask } from '../test/support/whole-gateway.ts';

/** One whole gateway in front of a real MariaDB, a real NATS and a real sshd: what an agent gets, what it never sees, and what is left when its task ends. */
const SERVER = resolve('services/fake-service-tools.mjs');

let database: MariadbServer;
let nats: NatsServers;
let sshd: SshServer;
let keeper: NatsConnection;
let estate: Estate;
let gateway: Up;

beforeAll(async () => {
  [database, nats, sshd] = await Promise.all([startMariadb(), startNats(), startSshd()]);
  await database.runSql([
    'CREATE DATABASE shop',
    'CREATE DATABASE remit',
    'CREATE TABLE shop.orders (id INT PRIMARY KEY, note TEXT)',
    "INSERT INTO shop.orders VALUES (1, 'two lamps')",
  ]);
  keeper = await connect({
    servers: [...nats.urls],
    authenticator: credsAuthenticator(Buffer.from(nats.userCredentials)),
  });
  keeper.subscribe('orders.ask', { callback: (_, message) => void message.respond(`answer to ${message.string()}`) });
  await keeper.flush();
  estate = await makeEstate({
    yaml: () => yaml(),
    secrets: {
      db_admin: database.password,
      bus_signing: nats.seeds.account,
      bus_operator: nats.seeds.operatorSigning,
      bus_system: nats.systemCredentials,
      web_ca: sshd.caKey,
    },
  });
  gateway = await startUp(estate.config);
});

afterAll(async () => {
  await gateway?.stop();
  await endAll();
  await keeper?.close();
  await Promise.all([database?.stop(), nats?.stop(), sshd?.stop()]);
});

const yaml = (): string => {
  const tools = (look: string) =>
    `{ look: { class: ${look}, approvedBy: dana@shop.example }, tell: { class: ${look}, approvedBy: dana@shop.example } }`;
  const process_ = `{ stdio: { command: ${JSON.stringify([process.execPath, SERVER])}`;
  return `connectors:
  orders_db:
    owner: dana@shop.example
    transport: ${process_} } }
    credential:
      mysql: { port: ${database.port}, adminUser: root, adminPassword: db_admin, eventDatabase: remit }
      inject: { environment: { DATABASE_URL: "mysql://{username|url}:{password|url}@127.0.0.1:${database.port}/" } }
    tools: ${tools('read')}
  bus:
    owner: dana@shop.example
    transport: ${process_}, environment: { NATS_URL: "${nats.urls[0]}", NATS_CREDS: /dev/fd/3 } } }
    credential:
      nats:
        servers: ["${nats.urls[0]}"]
        operator: ${nats.operator}
        account: ${nats.account}
        accountKey: bus_signing
        operatorKey: bus_operator
        systemCredentials: bus_system
      inject: { descriptors: { 3: "{credentials}" }, environment: { NATS_INBOX_PREFIX: "{inboxPrefix}" } }
    tools: ${tools('write')}
  web:
    owner: dana@shop.example
    transport: ${process_}, environment: { SSH_AT: "${sshd.user}:${sshd.port}", SSH_KEY_FILE: /dev/fd/3, SSH_CERTIFICATE_FILE: /dev/fd/4 } } }
    credential:
      mode: task_tool
      ssh:
        servers: web fleet
        caKey: web_ca
        classes: { read: { forceCommand: 'echo "uptime of $SSH_ORIGINAL_COMMAND"' } }
        krlFile: ${sshd.krlFile}
        sharedKrl: true
      inject: { descriptors: { 3: "{privateKey}", 4: "{certificate}" } }
    tools: ${tools('read')}
templates:
  work:
    owner: dana@shop.example
    purpose: look things up
    agents: [scribe]
    classes: [read, write]
    tools: [${['orders_db', 'bus', 'web'].map((name) => `${name}/look, ${name}/tell`).join(', ')}]
    resources: ["orders_db:shop.orders(id,note)", "bus:orders.ask", "web:deploy"]
`;
};

it('L4 L6 opens what the task is for, never shows the agent what with, and leaves nothing when the task ends', async () => {
  expect(gateway.ready).toMatchObject({ tools: 6, problems: [] });
  const { task, token } = await takeTask(estate, 'work');
  const client = await connectTo(makeClient('modern'), gateway, token);
  const told: string[] = [];
  const call = async (name: string, id: string): Promise<string> => {
    const reply = await client.callTool({ name, arguments: { id } });
    told.push(JSON.stringify(reply));
    return (reply.content as { text?: string }[])[0]?.text ?? '';
  };
  expect(await call('orders_db__look', '1')).toBe('two lamps');
  expect(await call('bus__look', '7')).toBe('answer to 7');
  expect(await call('web__look', 'web-1')).toBe('uptime of web-1');

  const leases = async (): Promise<LeaseView[]> => {
    const { stdout } = await run(['lease', 'ls', '--all', '--json', '--task', task, '--config', estate.config]);
    told.push(stdout);
    return JSON.parse(stdout) as LeaseView[];
  };
  const active = await leases();
  const byKind = (issuer: string) => active.find((lease) => lease.issuer === issuer);
  expect(byKind('mysql')).toMatchObject({
    state: 'active',
    revocation: 'immediate',
    scope: expect.stringContaining('shop.orders(id, note)'),
  });
  expect(byKind('nats')).toMatchObject({
    state: 'active',
    revocation: 'immediate',
    scope: expect.stringContaining('orders.ask'),
  });
  expect(byKind('ssh')).toMatchObject({
    state: 'active',
    revocation: 'next_use',
    scope: expect.stringContaining('log in as deploy'),
  });

  // Careless servers: each tells all that it was given.
  for (const connector of ['orders_db', 'bus', 'web'])
    expect(await call(`${connector}__tell`, 'x')).toContain('withheld by Remit');
  const url = [...commandLines()]
    .filter(([, line]) => line.includes(SERVER))
    .map(([pid]) => environmentOf(pid, 'DATABASE_URL') ?? '')
    .find((one) => one.includes(byKind('mysql')?.tag ?? '?'));
  expect(url).toBeDefined();

  const ended = await run(['task', 'end', task, '--config', estate.config]);
  expect(ended.code, ended.stderr).toBe(0);
  await client.close();
  const after = await leases();
  expect(new Set(after.map(({ state, endReason }) => `${state} ${endReason}`))).toEqual(new Set(['ended revoked']));

  const users = await database.runSql("SELECT User FROM mysql.global_priv WHERE User LIKE 'remit\\_%'");
  const events = await database.runSql('SELECT EVENT_NAME FROM information_schema.EVENTS');
  const tag = byKind('mysql')?.tag;
  expect([...users.map((row) => row.User), ...events.map((row) => row.EVENT_NAME)]).not.toContain(tag);
  await expect(
    database.runSql('SELECT 1', { user: tag ?? '', password: decodeURIComponent(new URL(url ?? '').password) }),
  ).rejects.toThrow(/denied/);
  // One entry a lease of the task, at least: the gateway's own listing had one, too.
  const count = (issuer: string) => after.filter((lease) => lease.issuer === issuer).length;
  const revoked = decode<Account>(await nats.accountJwt()).nats.revocations ?? {};
  expect(Object.keys(revoked).length).toBeGreaterThanOrEqual(count('nats'));
  const { stdout: list } = await sshd.keygen('-Q', '-l', '-f', sshd.krlFile);
  expect(list.match(/^serial: /gm)?.length ?? 0).toBeGreaterThanOrEqual(count('ssh'));
  expect(count('ssh')).toBe(2);

  const seen = [...told, gateway.stdout(), gateway.stderr(), await database.queryLog()].join('\n');
  const secrets = [
    decodeURIComponent(new URL(url ?? '').password),
    nats.seeds.account,
    nats.seeds.operatorSigning,
    sshd.caKey.split('\n')[2] ?? '-',
  ];
  for (const secret of secrets) expect(seen.includes(secret)).toBe(false);
  expect(seen).not.toMatch(/SU[A-Z2-7]{56}/);
  expect(seen).not.toContain('b3BlbnNzaC1rZXktdjE');
});
