import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { createClient } from '@redis/client';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createRedisIssuer, type RedisIssuerOptions } from '../../src/adapters/issuers/redis-issuer.ts';
import { Secret } from '../../src/domain/secret.ts';
import type { IssuedCredential, Issuer } from '../../src/seams/issuer.ts';
import { issuerSuite, newLease, requestFor } from '../suites/issuer-suite.ts';

/** A Redis that a test may use freely. */
export interface RedisUnderTest {
  readonly host: string;
  readonly port: number;
  /** Of the user `default`, which may do everything. */
  readonly password: string;
  stop(): Promise<void>;
}

export type RedisClient = ReturnType<typeof openClient>;

function openClient(server: RedisUnderTest, username: string, password: string) {
  return createClient({
    socket: { host: server.host, port: server.port, reconnectStrategy: false },
    disableOfflineQueue: true,
    username,
    password,
  });
}

/** @throws where the server does not let it in */
export async function connectTo(server: RedisUnderTest, username: string, password: string): Promise<RedisClient> {
  const client = openClient(server, username, password);
  client.on('error', () => {});
  await client.connect();
  return client;
}

export function redisOptions(server: RedisUnderTest, more: Partial<RedisIssuerOptions> = {}): RedisIssuerOptions {
  const { host, port, password } = server;
  const adminPassword = async () => new Secret(password);
  return { host, port, adminUser: 'default', adminPassword, tls: false, clock: Date.now, random: randomBytes, ...more };
}

async function closedPort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as { port: number };
  probe.close();
  await once(probe, 'close');
  return port;
}

/** What holds of a Redis issuer, whichever Redis it is. */
export function redisIssuerTests(name: string, start: () => Promise<RedisUnderTest>): void {
  let server: RedisUnderTest;

  issuerSuite(name, async () => {
    server = await start();
    const admin = await connectTo(server, 'default', server.password);
    return {
      issuer: createRedisIssuer(redisOptions(server)),
      other: () => createRedisIssuer(redisOptions(server)),
      clock: Date.now,
      resources: ['suite:*'],
      actionClasses: ['read', 'write'],
      async canUse({ username, password }) {
        try {
          const client = await connectTo(server, username?.reveal() ?? '', password?.reveal() ?? '');
          const answer = await client.sendCommand(['SET', 'suite:key', 'value']).finally(() => client.destroy());
          return `${answer}` === 'OK';
        } catch {
          return false;
        }
      },
      exists: async (tag) => (await admin.sendCommand(['ACL', 'GETUSER', tag])) !== null,
      broken: [
        createRedisIssuer(redisOptions(server, { port: await closedPort() })),
        createRedisIssuer(redisOptions(server, { adminPassword: async () => new Secret('canary-wrong-redis-77') })),
        createRedisIssuer(redisOptions(server, { adminPassword: async () => undefined })),
        createRedisIssuer(redisOptions(server, { adminUser: 'nobody' })),
      ],
      secrets: [server.password, 'canary-wrong-redis-77'],
      async stop() {
        admin.destroy();
        await server.stop();
      },
    };
  });

  describe(`a leased user of ${name}`, () => {
    let issuer: Issuer;
    const clients: RedisClient[] = [];

    beforeAll(async () => {
      server = await start();
      issuer = createRedisIssuer(redisOptions(server));
      const admin = await connectTo(server, 'default', server.password);
      for (const key of ['orders:1', 'orders:2', 'customers:1']) await admin.sendCommand(['SET', key, key]);
      admin.destroy();
    });
    afterEach(() => {
      for (const client of clients.splice(0)) if (client.isOpen) client.destroy();
    });
    afterAll(async () => {
      await issuer.close();
      await server.stop();
    });

    const signal = () => AbortSignal.timeout(10_000);

    async function issue(resources: string[], actionClasses: ('read' | 'write' | 'code')[], by = issuer) {
      const lease = newLease(by);
      return { lease, issued: await by.issue({ ...requestFor(lease, signal()), resources, actionClasses }) };
    }

    async function connect({ fields }: IssuedCredential): Promise<RedisClient> {
      const client = await connectTo(server, fields.username?.reveal() ?? '', fields.password?.reveal() ?? '');
      clients.push(client);
      return client;
    }

    const noPermission = /NOPERM/;

    it('for read reads its keys and nothing else', async () => {
      const { issued } = await issue(['orders:*'], ['read']);
      expect(issued.scope).toBe('read on orders:*');
      const client = await connect(issued);
      expect(await client.sendCommand(['GET', 'orders:1'])).toBe('orders:1');
      for (const command of [
        ['GET', 'customers:1'],
        ['SET', 'orders:1', 'x'],
        ['SCAN', '0'],
        ['ACL', 'SETUSER', 'default', 'nopass'],
      ]) {
        await expect(client.sendCommand(command), command.join(' ')).rejects.toThrow(noPermission);
      }
    });

    it('for write writes its keys and nothing else', async () => {
      const { issued } = await issue(['orders:*'], ['write']);
      const client = await connect(issued);
      expect(await client.sendCommand(['SET', 'orders:3', 'three'])).toBe('OK');
      expect(await client.sendCommand(['GET', 'orders:3'])).toBe('three');
      await expect(client.sendCommand(['SET', 'customers:1', 'x'])).rejects.toThrow(noPermission);
      await expect(client.sendCommand(['SCAN', '0'])).rejects.toThrow(noPermission);
    });

    it('for the gateway’s own discovery connects and may do nothing', async () => {
      const { issued } = await issue([], []);
      expect(issued.scope).toBe('no rights');
      const client = await connect(issued);
      expect(await client.sendCommand(['PING'])).toBe('PONG');
      await expect(client.sendCommand(['GET', 'orders:1'])).rejects.toThrow(noPermission);
    });

    it('V2 loses its open connections with its lease', async () => {
      const { lease, issued } = await issue(['orders:*'], ['read']);
      const [one, other] = [await connect(issued), await connect(issued)];
      const gone = Promise.all([once(one, 'end'), once(other, 'end')].map((ended) => ended.catch(() => {})));
      await issuer.revoke(lease, undefined);
      await gone;
      await expect(one.sendCommand(['GET', 'orders:1'])).rejects.toThrow();
      await expect(connect(issued)).rejects.toThrow(/WRONGPASS/);
    });

    it('L3 has no end of its own, says so, and is ended by whoever has its row alone', async () => {
      const { lease, issued } = await issue(['orders:*'], ['read']);
      expect(issued.nativeExpiresAt).toBeUndefined();
      const client = await connect(issued);
      await issuer.close();
      const reaper = createRedisIssuer(redisOptions(server));
      const gone = once(client, 'end').catch(() => {});
      await reaper.revoke(lease, undefined);
      await gone;
      await reaper.close();
      issuer = createRedisIssuer(redisOptions(server));
    });

    it('L3 is not made for a lease that has ended', async () => {
      const lease = newLease(issuer);
      const request = { ...requestFor(lease, signal()), resources: ['a'], actionClasses: ['read' as const] };
      await expect(issuer.issue({ ...request, expiresAt: Date.now() - 1 })).rejects.toMatchObject({
        code: 'ERR_CREDENTIAL_ISSUE',
      });
    });

    it.each([
      [['orders:*'], ['code' as const], 'open no key'],
      [[], ['read' as const], 'names no resource'],
      [['orders *'], ['read' as const], 'no key pattern'],
    ])('is not made for %j and %j', async (resources, classes, message) => {
      await expect(issue(resources, classes)).rejects.toMatchObject({
        code: 'ERR_CREDENTIAL_ISSUE',
        message: expect.stringContaining(message),
        where: `${server.host}:${server.port}`,
      });
    });

    it('touches no user that is none of ours, whatever a row says', async () => {
      const lease = { ...newLease(issuer), tag: 'default' };
      await expect(issuer.revoke(lease, undefined)).rejects.toMatchObject({ code: 'ERR_CREDENTIAL_REVOKE' });
      await expect(issuer.issue(requestFor(lease, signal()))).rejects.toMatchObject({ code: 'ERR_CREDENTIAL_ISSUE' });
      const admin = await connectTo(server, 'default', server.password);
      admin.destroy();
    });
  });
}
