import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RedisServer, startRedis } from '../harness/redis.ts';
import { createRedisIssuer } from '../src/adapters/issuers/redis-issuer.ts';
import {
  connectTo,
  type RedisClient,
  type RedisUnderTest,
  redisIssuerTests,
  redisOptions,
} from '../test/issuers/redis-issuer-tests.ts';
import { newLease, requestFor } from '../test/suites/issuer-suite.ts';
import { measureIssuer } from './measure.ts';

async function start(withAclFile = false): Promise<RedisUnderTest & { readonly server: RedisServer; folder: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'remit-redis-'));
  const server = await startRedis({ folder, withPassword: true, withAclFile });
  const stop = async () => {
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  };
  return { ...server, password: server.password ?? '', server, folder, stop };
}

redisIssuerTests('redis, against redis-server', () => start());

describe('a leased user of a real Redis', () => {
  let redis: Awaited<ReturnType<typeof start>>;
  let admin: RedisClient;
  beforeAll(async () => {
    redis = await start();
    admin = await connectTo(redis, 'default', redis.password);
  });
  afterAll(async () => {
    admin.destroy();
    await redis.stop();
  });

  it('has no command that works on no key, but what connecting takes: nothing past its patterns', async () => {
    const issuer = createRedisIssuer(redisOptions(redis));
    const lease = newLease(issuer);
    await issuer.issue({
      ...requestFor(lease, AbortSignal.timeout(10_000)),
      resources: ['orders:*'],
      actionClasses: ['write'],
    });
    const infos = (await admin.sendCommand(['COMMAND'])) as unknown as [
      string,
      number,
      string[],
      number,
      ...unknown[],
    ][];
    expect(infos.length).toBeGreaterThan(200);
    const free: string[] = [];
    for (const info of infos) {
      const subcommands = (info[9] ?? []) as typeof infos;
      for (const [name, arity, flags, firstKey] of subcommands.length > 0 ? subcommands : [info]) {
        if (firstKey !== 0 || flags.includes('movablekeys') || flags.includes('no_auth')) continue;
        const words = name.split('|');
        const given = Array.from({ length: Math.max(0, Math.abs(arity) - words.length) }, () => '0');
        const tried = String(await admin.sendCommand(['ACL', 'DRYRUN', lease.tag, ...words, ...given]).catch(String));
        if (!/has no permissions to run/.test(tried)) free.push(name);
      }
    }
    // SELECT of database 0 alone; those of a container of subcommands that take no key are help texts.
    const known = [
      'client|getname',
      'client|id',
      'client|setname',
      'discard',
      'echo',
      'exec',
      'lolwut',
      'multi',
      'ping',
    ];
    expect(free.filter((name) => !name.endsWith('|help')).toSorted()).toEqual(
      [...known, 'select', 'unwatch'].toSorted(),
    );
    await issuer.revoke(lease, undefined);
    await issuer.close();
  });

  it('cannot read past its patterns by what takes keys of its own: SORT, COPY, RENAME, EVAL, MIGRATE, another database', async () => {
    const issuer = createRedisIssuer(redisOptions(redis));
    const lease = newLease(issuer);
    await admin.sendCommand(['SET', 'secrets:1', 'hidden']);
    const { fields } = await issuer.issue({
      ...requestFor(lease, AbortSignal.timeout(10_000)),
      resources: ['orders:*'],
      actionClasses: ['write'],
    });
    const client = await connectTo(redis, fields.username?.reveal() ?? '', fields.password?.reveal() ?? '');
    await client.sendCommand(['RPUSH', 'orders:list', '1']);
    for (const command of [
      ['SORT', 'orders:list', 'BY', 'nosort', 'GET', 'secrets:*'],
      ['SORT_RO', 'orders:list', 'BY', 'nosort', 'GET', 'secrets:*'],
      ['COPY', 'secrets:1', 'orders:copy'],
      ['RENAME', 'secrets:1', 'orders:mine'],
      ['EVAL', "return redis.call('GET', 'secrets:1')", '0'],
      ['FUNCTION', 'LOAD', '#!lua name=x\nredis.register_function("x", function() return 1 end)'],
      ['MIGRATE', '127.0.0.1', '1', 'orders:list', '0', '10'],
      ['DUMP', 'secrets:1'],
      ['OBJECT', 'ENCODING', 'secrets:1'],
      ['MONITOR'],
      ['SUBSCRIBE', 'news'],
      ['KEYS', '*'],
      ['FLUSHALL'],
      ['CONFIG', 'GET', '*'],
      ['SELECT', '1'],
      ['ACL', 'WHOAMI'],
    ]) {
      await expect(client.sendCommand(command), command.join(' ')).rejects.toThrow(/NOPERM/);
    }
    client.destroy();
    await issuer.revoke(lease, undefined);
    await issuer.close();
  });

  it('L6 leaves no password in the slow log or the list of users', async () => {
    const issuer = createRedisIssuer(redisOptions(redis));
    const lease = newLease(issuer);
    await admin.sendCommand(['CONFIG', 'SET', 'slowlog-log-slower-than', '0']);
    const { fields } = await issuer.issue({
      ...requestFor(lease, AbortSignal.timeout(10_000)),
      resources: ['orders:*'],
      actionClasses: ['read'],
    });
    const seen = JSON.stringify([
      await admin.sendCommand(['SLOWLOG', 'GET', '100']),
      await admin.sendCommand(['ACL', 'LIST']),
    ]);
    expect(seen).toContain(lease.tag);
    expect(seen).not.toContain(fields.password?.reveal());
    await issuer.revoke(lease, undefined);
    await issuer.close();
  });

  it('L5 that somebody saved does not come back when the server starts again', async () => {
    const first = await start(true);
    const keeper = await connectTo(first, 'default', first.password);
    const issuer = createRedisIssuer(redisOptions(first, { savesUsers: true }));
    const lease = newLease(issuer);
    await issuer.issue({
      ...requestFor(lease, AbortSignal.timeout(10_000)),
      resources: ['orders:*'],
      actionClasses: ['read'],
    });
    await keeper.sendCommand(['ACL', 'SAVE']);
    keeper.destroy();
    expect(await readFile(first.server.aclFile ?? '', 'utf8')).toContain(lease.tag);
    await issuer.revoke(lease, undefined);
    await issuer.close();
    await first.server.stop();
    const second = await startRedis({ folder: first.folder, withAclFile: true, password: first.password });
    const again = await connectTo({ ...first, port: second.port }, 'default', first.password);
    expect(await again.sendCommand(['ACL', 'GETUSER', lease.tag])).toBeNull();
    again.destroy();
    await second.stop();
    await first.stop();
  });

  it('costs what is measured', async () => {
    const issuer = createRedisIssuer(redisOptions(redis));
    const cost = await measureIssuer('redis', issuer, { resources: ['orders:*'], actionClasses: ['read'] }, 300);
    expect(cost.issue).toBeLessThan(50);
    await issuer.close();
  });
});
