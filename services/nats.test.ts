import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { type Account, decode } from '@nats-io/jwt';
import { fromSeed } from '@nats-io/nkeys';
import { connect, credsAuthenticator, type NatsConnection } from '@nats-io/transport-node';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type NatsServers, startNats } from '../harness/nats.ts';
import { createNatsIssuer, type NatsIssuerOptions } from '../src/adapters/issuers/nats-issuer.ts';
import type { Lease } from '../src/domain/lease.ts';
import { Secret } from '../src/domain/secret.ts';
import type { ActionClass } from '../src/domain/tool.ts';
import type { IssuedCredential, Issuer } from '../src/seams/issuer.ts';
import { issuerSuite, newLease, requestFor } from '../test/suites/issuer-suite.ts';
import { measureIssuer } from './measure.ts';

let nats: NatsServers;

beforeAll(async () => {
  nats = await startNats();
});
afterAll(async () => {
  await nats.stop();
});

function options(more: Partial<NatsIssuerOptions> = {}, of = nats): NatsIssuerOptions {
  const secret = (text: string) => async () => new Secret(text);
  return {
    servers: of.urls,
    tls: false,
    account: of.account,
    serverCount: 1,
    // As a vault keeps it.
    systemCredentials: secret(of.systemCredentials.trim()),
    accountKey: secret(of.seeds.account),
    operatorKey: secret(of.seeds.operatorSigning),
    operator: of.operator,
    sources: [],
    connectionTypes: ['STANDARD'],
    clock: Date.now,
    ...more,
  };
}

async function enter({ fields }: Pick<IssuedCredential, 'fields'>, url = nats.urls[0] ?? ''): Promise<NatsConnection> {
  return connect({
    servers: url,
    authenticator: credsAuthenticator(fields.credentials?.revealBytes() ?? Buffer.alloc(0)),
    inboxPrefix: fields.inboxPrefix?.reveal() ?? '_INBOX',
    reconnect: false,
    timeout: 5_000,
  });
}

const isIn = (issued: Pick<IssuedCredential, 'fields'>): Promise<boolean> =>
  enter(issued).then(
    async (connection) => {
      await connection.close();
      return true;
    },
    () => false,
  );

async function closedPort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as { port: number };
  probe.close();
  await once(probe, 'close');
  return port;
}

const wrong = (text: string) => async () => new Secret(text);

issuerSuite('nats, against nats-server', async () => ({
  issuer: createNatsIssuer(options()),
  other: () => createNatsIssuer(options()),
  clock: Date.now,
  resources: ['orders.>'],
  actionClasses: ['read', 'write'],
  canUse: (fields) => isIn({ fields }),
  exists: undefined,
  broken: [
    createNatsIssuer(options({ servers: [`nats://127.0.0.1:${await closedPort()}`] })),
    createNatsIssuer(options({ tls: true })),
    createNatsIssuer(options({ systemCredentials: wrong('canary-wrong-nats-1') })),
    createNatsIssuer(options({ accountKey: wrong('canary-wrong-nats-1') })),
    createNatsIssuer(options({ operatorKey: wrong('canary-wrong-nats-1') })),
    createNatsIssuer(options({ accountKey: wrong(nats.seeds.operator) })),
    createNatsIssuer(options({ accountKey: wrong(nats.seeds.scoped) })),
    createNatsIssuer(options({ operatorKey: wrong(STRANGER) })),
    createNatsIssuer(options({ operator: fromSeed(Buffer.from(STRANGER)).getPublicKey() })),
    createNatsIssuer(options({ account: nats.otherAccount })),
    createNatsIssuer(options({ systemCredentials: wrong(nats.userCredentials) })),
  ],
  secrets: [...Object.values(nats.seeds), nats.systemCredentials, 'canary-wrong-nats-1'],
  stop: async () => {},
}));

describe('a leased user of a real NATS', () => {
  let issuer: Issuer;
  let keeper: NatsConnection;
  const leases: [Lease, Secret | undefined][] = [];
  const connections: NatsConnection[] = [];

  beforeAll(async () => {
    issuer = createNatsIssuer(options());
    keeper = await enter({ fields: { credentials: new Secret(nats.userCredentials) } });
  });
  afterEach(async () => {
    for (const connection of connections.splice(0)) await connection.close().catch(() => {});
    for (const [lease, handle] of leases.splice(0)) await issuer.revoke(lease, handle);
  });
  afterAll(async () => {
    await keeper.close();
    await issuer.close();
  });

  async function issue(resources: string[], actionClasses: ActionClass[], by = issuer, lifeMs = 60_000) {
    const lease = { ...newLease(by), expiresAt: Date.now() + lifeMs };
    const request = requestFor(lease, AbortSignal.timeout(10_000));
    const issued = await by.issue({ ...request, resources, actionClasses });
    leases.push([lease, issued.handle]);
    return { lease, issued };
  }

  async function open(issued: IssuedCredential): Promise<NatsConnection> {
    const connection = await enter(issued);
    connections.push(connection);
    return connection;
  }

  /** The server's refusals, as the client hears of them. */
  function refusals(connection: NatsConnection): string[] {
    const heard: string[] = [];
    void (async () => {
      for await (const status of connection.status()) if (status.type === 'error') heard.push(status.error.message);
    })();
    return heard;
  }

  it('for read hears its subjects, and neither others nor publishes', async () => {
    const { issued } = await issue(['orders.*'], ['read']);
    expect(issued.scope).toBe('subscribe on orders.*');
    const connection = await open(issued);
    const heard: string[] = [];
    for (const subject of ['orders.*', 'customers.*', '>', 'orders.new.deep', '_INBOX.>', '$SYS.>']) {
      connection.subscribe(subject, {
        callback: (error, message) => void heard.push(error?.message ?? message.subject),
      });
    }
    await connection.flush();
    for (const subject of ['orders.new', 'customers.new', 'orders.new.deep']) keeper.publish(subject, 'x');
    await keeper.flush();
    await until(() => heard.filter((one) => one === 'orders.new').length > 0, 'it heard its own');
    expect(heard.filter((one) => !/permissions violation/i.test(one))).toEqual(['orders.new']);
    expect(heard.filter((one) => /permissions violation/i.test(one))).toHaveLength(5);
    const refused = refusals(connection);
    connection.publish('orders.new', 'x');
    await connection.flush();
    await until(() => refused.some((one) => /publish/i.test(one)), 'it may not publish');
  });

  it('for write publishes to its subjects, hears replies to its own requests, and nothing else', async () => {
    const { issued } = await issue(['orders.new'], ['write']);
    expect(issued.scope).toBe('publish on orders.new');
    const connection = await open(issued);
    const served = keeper.subscribe('orders.new', { callback: (_, message) => void message.respond('taken') });
    await keeper.flush();
    expect((await connection.request('orders.new', 'x', { timeout: 2_000 })).string()).toBe('taken');
    served.unsubscribe();
    const refused = refusals(connection);
    connection.publish('customers.new', 'x');
    for (const subject of ['orders.new', '_INBOX.>']) {
      connection.subscribe(subject, { callback: (error) => void refused.push(error?.message ?? 'heard') });
    }
    await connection.flush();
    const violations = (what: RegExp) => refused.filter((one) => /permissions violation/i.test(one) && what.test(one));
    await until(() => violations(/publish/i).length > 0, 'it may not publish elsewhere');
    await until(() => violations(/subscription/i).length >= 2, 'it may subscribe to nothing');
    expect(refused).not.toContain('heard');
  });

  it('for the gateway’s own discovery connects and may do nothing', async () => {
    const { issued } = await issue([], []);
    expect(issued.scope).toBe('no rights');
    const connection = await open(issued);
    const refused = refusals(connection);
    connection.publish('orders.new', 'x');
    await connection.flush();
    await until(() => refused.length > 0, 'it is refused');
  });

  it('V2 loses its open connections with its lease, and cannot connect again', async () => {
    const { lease, issued } = await issue(['orders.>'], ['read']);
    const [one, other] = [await open(issued), await open(issued)];
    await issuer.revoke(lease, issued.handle);
    await Promise.all([one?.closed(), other?.closed()]);
    expect(await isIn(issued)).toBe(false);
  });

  it('V2 loses connections that are being opened while the revoke runs', async () => {
    for (let round = 0; round < 5; round++) {
      const { lease, issued } = await issue(['orders.>'], ['read']);
      let isOver = false;
      const made: NatsConnection[] = [];
      const storm = Array.from({ length: 4 }, async () => {
        while (!isOver)
          await enter(issued).then(
            (connection) => made.push(connection),
            () => {},
          );
      });
      await delay(30);
      await issuer.revoke(lease, issued.handle);
      isOver = true;
      await Promise.all(storm);
      expect(made.length).toBeGreaterThan(0);
      await Promise.all(made.map((connection) => connection.closed()));
    }
  });

  it('L3 is ended by the server itself with its lease, its connection included', async () => {
    const { issued } = await issue(['orders.>'], ['read'], issuer, 3_500);
    expect(issued.nativeExpiresAt).toBeLessThanOrEqual(Date.now() + 3_500);
    const connection = await open(issued);
    await connection.closed();
    expect(Date.now()).toBeLessThan((issued.nativeExpiresAt ?? 0) + 2_000);
    await delay(Math.max(0, (issued.nativeExpiresAt ?? 0) - Date.now()));
    expect(await isIn(issued)).toBe(false);
  });

  it('L2 is revoked by its row and the vault alone, where a crash lost the handle', async () => {
    const { lease, issued } = await issue(['orders.>'], ['read']);
    const reaper = createNatsIssuer(options());
    await reaper.revoke(lease, undefined);
    await reaper.close();
    expect(await isIn(issued)).toBe(false);
  });

  it('L4 revokes many at once, none of which takes another’s entry out, by fewer pushes than there are', async () => {
    const made = [];
    for (let at = 0; at < 20; at++) made.push(await issue(['orders.>'], ['read']));
    await Promise.all(made.map(({ lease, issued }) => issuer.revoke(lease, issued.handle)));
    const revoked = decode<Account>(await nats.accountJwt()).nats.revocations ?? {};
    for (const { issued } of made) expect(revoked).toHaveProperty(issued.handle?.reveal() ?? '');
    expect(await Promise.all(made.map(({ issued }) => isIn(issued)))).not.toContain(true);
  });

  it('L4 two gateways that revoke at the same time lose no entry of one another for long', async () => {
    const gateways = [createNatsIssuer(options()), createNatsIssuer(options())];
    const made: { lease: Lease; issued: IssuedCredential; by: Issuer }[] = [];
    for (const by of gateways)
      for (let at = 0; at < 10; at++) made.push({ by, ...(await issue(['orders.>'], ['read'], by)) });
    await Promise.all(
      made.map(async ({ by, lease, issued }, at) => {
        await delay(at % 10);
        await by.revoke(lease, issued.handle);
      }),
    );
    const lost = async () => {
      const revoked = decode<Account>(await nats.accountJwt()).nats.revocations ?? {};
      return made.filter(({ issued }) => !(issued.handle?.reveal() ?? '' in revoked)).length;
    };
    await until(async () => (await lost()) === 0, 'every entry is there');
    expect(await Promise.all(made.map(({ issued }) => isIn(issued)))).not.toContain(true);
    await Promise.all(gateways.map((by) => by.close()));
  });

  it('L4 enters again what a push of somebody who read before took out', async () => {
    const before = await nats.accountJwt();
    const { lease, issued } = await issue(['orders.>'], ['read']);
    await issuer.revoke(lease, issued.handle);
    const jwt = await nats.change(before, () => {});
    const system = await enter({ fields: { credentials: new Secret(nats.systemCredentials) } });
    await system.request('$SYS.REQ.CLAIMS.UPDATE', jwt, { timeout: 2_000 });
    await system.close();
    const user = issued.handle?.reveal() ?? '';
    await until(async () => user in (decode<Account>(await nats.accountJwt()).nats.revocations ?? {}), 'it is back');
    expect(await isIn(issued)).toBe(false);
  });

  it('keeps what people entered in the account, and takes out what nothing needs any more', async () => {
    const system = await enter({ fields: { credentials: new Secret(nats.systemCredentials) } });
    const theirs = 'UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4';
    const jwt = await nats.change(await nats.accountJwt(), (account) => {
      account.revocations = { ...account.revocations, [theirs]: 1_700_000_000 };
      account.description = 'kept';
    });
    await system.request('$SYS.REQ.CLAIMS.UPDATE', jwt, { timeout: 2_000 });
    await system.close();
    let now = Date.now();
    const by = createNatsIssuer(options({ clock: () => now }));
    const first = await issue(['orders.>'], ['read'], by);
    await by.revoke(first.lease, first.issued.handle);
    now += 10 * 60_000;
    const second = { ...newLease(by), expiresAt: now + 60_000 };
    await by.revoke(second, undefined);
    await by.close();
    const { nats: account } = decode<Account>(await nats.accountJwt());
    expect(account.description).toBe('kept');
    expect(account.signing_keys).toHaveLength(2);
    expect(account.revocations).toHaveProperty(theirs, 1_700_000_000);
    expect(account.revocations).not.toHaveProperty(first.issued.handle?.reveal() ?? '');
  });

  it('L4 does not ask anybody for what has ended by itself', async () => {
    const by = createNatsIssuer(options({ servers: ['nats://127.0.0.1:1'] }));
    await by.revoke({ ...newLease(by), expiresAt: Date.now() - 120_000 }, undefined);
    await by.close();
  });

  it('L7 is not said to be revoked where the operator’s key is not one, although the server takes what it signs', async () => {
    const { lease, issued } = await issue(['orders.>'], ['read']);
    const by = createNatsIssuer(options({ operatorKey: wrong(STRANGER) }));
    await expect(by.revoke(lease, issued.handle)).rejects.toMatchObject({
      code: 'ERR_CREDENTIAL_REVOKE',
      message: expect.stringContaining('which is no key of the operator'),
    });
    await by.close();
    expect(await isIn(issued)).toBe(true);
  });

  it.each([
    [['orders.>'], ['code' as const], 'open no subject'],
    [[], ['read' as const], 'names no resource'],
    [['>'], ['read' as const], 'no subject'],
    [['$JS.API.>'], ['write' as const], 'no subject'],
  ])('is not made for %j and %j', async (resources, classes, message) => {
    await expect(issue(resources, classes)).rejects.toMatchObject({
      code: 'ERR_CREDENTIAL_ISSUE',
      message: expect.stringContaining(message),
    });
  });

  it('costs what is measured', async () => {
    const by = createNatsIssuer(options());
    const cost = await measureIssuer('nats', by, { resources: ['orders.>'], actionClasses: ['read'] }, 50);
    expect(cost.issue).toBeLessThan(200);
    await by.close();
  });
});

/** An operator's seed that no server knows. */
const STRANGER = 'SOAFJUPAGFHDZCJR7OYNRVWLDZCP3TL2ZM5YT5QDS6DNS4GUGHOMZQT42I';

describe('a cluster of two real servers', () => {
  let cluster: NatsServers;
  beforeAll(async () => {
    cluster = await startNats(2);
  });
  afterAll(() => cluster.stop());

  it('L7 a revoke is done when both have confirmed it, and fails while one is away', async () => {
    const issuer = createNatsIssuer(options({ serverCount: 2, revokeWithinMs: 8_000 }, cluster));
    const ask = { resources: ['orders.>'], actionClasses: ['read' as const] };
    const lease = newLease(issuer);
    const issued = await issuer.issue({ ...requestFor(lease, AbortSignal.timeout(10_000)), ...ask });
    const connections = await Promise.all(cluster.urls.map((url) => enter(issued, url)));
    await issuer.revoke(lease, issued.handle);
    await Promise.all(connections.map((connection) => connection.closed()));
    for (const url of cluster.urls) await expect(enter(issued, url)).rejects.toThrow();

    const second = newLease(issuer);
    const { handle } = await issuer.issue({ ...requestFor(second, AbortSignal.timeout(10_000)), ...ask });
    await cluster.stopOne(1);
    await expect(issuer.revoke(second, handle)).rejects.toMatchObject({
      code: 'ERR_CREDENTIAL_REVOKE',
      message: expect.stringMatching(/1 of 2 servers confirmed|not done within/),
    });
    await issuer.close();
  });
});

async function until(isSo: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (const since = performance.now(); performance.now() - since < 10_000; ) {
    if (await isSo()) return;
    await delay(20);
  }
  expect.unreachable(`not so within 10 s: ${what}`);
}
