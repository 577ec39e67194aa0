import { describe, expect, it } from 'vitest';
import { createRedisIssuer } from '../../src/adapters/issuers/redis-issuer.ts';
import { newLease, requestFor } from '../suites/issuer-suite.ts';
import { startFakeRedis } from '../support/fake-redis-server.ts';
import { redisIssuerTests, redisOptions } from './redis-issuer-tests.ts';

redisIssuerTests('redis, against fake-redis', () => startFakeRedis());

const ask = { resources: ['orders:*'], actionClasses: ['read' as const] };

describe('the Redis issuer at the wire', () => {
  it('L6 sends the hash of a password and never the password', async () => {
    const server = await startFakeRedis();
    const issuer = createRedisIssuer(redisOptions(server));
    const { fields } = await issuer.issue({ ...requestFor(newLease(issuer), AbortSignal.timeout(5_000)), ...ask });
    const sent = server.commands.filter(([name]) => name === 'ACL').flat();
    expect(sent).toContain('SETUSER');
    expect(sent.some((part) => /^#[0-9a-f]{64}$/.test(part))).toBe(true);
    expect(sent.join(' ')).not.toContain(fields.password?.reveal());
    await issuer.close();
    await server.stop();
  });

  it('saves users after a revoke where it is told to, and only there', async () => {
    const server = await startFakeRedis();
    for (const savesUsers of [false, true]) {
      const issuer = createRedisIssuer(redisOptions(server, { savesUsers }));
      const lease = newLease(issuer);
      await issuer.issue({ ...requestFor(lease, AbortSignal.timeout(5_000)), ...ask });
      await issuer.revoke(lease, undefined);
      expect(server.saved).toEqual(savesUsers ? ['default'] : []);
      await issuer.close();
    }
    await server.stop();
  });

  it('L4 fails a revoke that gets no answer, within its bound, and takes another connection for the next', async () => {
    const server = await startFakeRedis();
    const issuer = createRedisIssuer(redisOptions(server, { revokeWithinMs: 100 }));
    const lease = newLease(issuer);
    await issuer.issue({ ...requestFor(lease, AbortSignal.timeout(5_000)), ...ask });
    server.isHung = true;
    await expect(issuer.revoke(lease, undefined)).rejects.toMatchObject({
      code: 'ERR_CREDENTIAL_REVOKE',
      message: expect.stringContaining('not done within 100 ms'),
      hint: expect.stringMatching(/.+/),
    });
    server.isHung = false;
    await issuer.revoke(lease, undefined);
    expect(server.users.has(lease.tag)).toBe(false);
    await issuer.close();
    await server.stop();
  });

  it('takes a new connection, with the password of that time, when the server was restarted', async () => {
    const first = await startFakeRedis();
    let port = first.port;
    const options = redisOptions(first);
    const issuer = createRedisIssuer({
      ...options,
      get port() {
        return port;
      },
    });
    await issuer.issue({ ...requestFor(newLease(issuer), AbortSignal.timeout(5_000)), ...ask });
    await first.stop();
    const second = await startFakeRedis();
    port = second.port;
    const lease = newLease(issuer);
    const again = () => issuer.issue({ ...requestFor(lease, AbortSignal.timeout(5_000)), ...ask });
    // The first may go out on the connection that has just ended: then it fails, and is not sent again.
    await again().catch((error: unknown) => expect(error).toMatchObject({ code: 'ERR_CREDENTIAL_ISSUE' }));
    expect(second.commands.filter(([name]) => name === 'ACL').length).toBeLessThanOrEqual(1);
    await again();
    expect(second.users.has(lease.tag)).toBe(true);
    await issuer.close();
    await second.stop();
  });
});
