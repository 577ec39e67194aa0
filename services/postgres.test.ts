import { randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import { createPostgresIssuer } from '../src/adapters/issuers/postgres-issuer.ts';
import { Secret } from '../src/domain/secret.ts';
import { startPostgres } from '../test/support/embedded-postgres.ts';
import { createShop } from '../test/support/shop-database.ts';
import { measureIssuer } from './measure.ts';
import '../test/issuers/postgres-issuer.test.ts';

it('costs what is measured, on a database that syncs', async () => {
  const server = await startPostgres({ fsync: true });
  try {
    await createShop(server);
    const issuer = createPostgresIssuer({
      host: server.host,
      port: server.port,
      database: 'shop',
      adminUser: server.superuser,
      adminPassword: async () => new Secret(server.password),
      tls: false,
      clock: Date.now,
      random: randomBytes,
    });
    const cost = await measureIssuer('postgres', issuer, { resources: ['public.orders'], actionClasses: ['read'] }, 60);
    expect(cost.issue).toBeLessThan(1_000);
    await issuer.close();
  } finally {
    await server.stop();
  }
});
