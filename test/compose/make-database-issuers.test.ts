import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createAccount, createOperator } from '@nats-io/nkeys';
import sshpk from 'sshpk';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ConnectorTokens } from '../../src/compose/credentials/connector-tokens.ts';
import { makeIssuer } from '../../src/compose/credentials/make-issuer.ts';
import type { EstateConnector } from '../../src/compose/estate.ts';
import type { Workspace } from '../../src/compose/workspace.ts';
import { credentialSchema } from '../../src/config/credential-schema.ts';
import { Secret } from '../../src/domain/secret.ts';
import { newLease, requestFor } from '../suites/issuer-suite.ts';
import { startFakeMysql } from '../support/fake-mysql-server.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'remit-issuers-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** By settings as they stand in `remit.yaml`, with the vault's secrets by their names. */
async function make(settings: object, secrets: Record<string, string> = {}) {
  const workspace = {
    loaded: { resolvePath: (path: string) => join(folder, path) },
    vault: { get: async (name: string) => new Secret(secrets[name] ?? '') },
    system: { clock: Date.now, random: (size: number) => Buffer.alloc(size, 7) },
  } as unknown as Workspace;
  const credential = credentialSchema.parse(settings);
  return makeIssuer(workspace, {} as ConnectorTokens, { id: 'c' } as unknown as EstateConnector, credential);
}

describe('issuers out of their settings', () => {
  it('mysql: the secret that is named opens the server, and every setting arrives', async () => {
    const server = await startFakeMysql({ version: '10.11.6-MariaDB' });
    const { port } = server;
    const more = {
      userHost: '10.0.0.%',
      requireTls: true,
      maxConnections: 3,
      maxStatementSeconds: 9,
      eventDatabase: 'ends',
    };
    const mysql = { port, adminUser: 'remit_admin', adminPassword: 'admin', ...more };
    const { kind, issuer } = await make({ mysql }, { admin: server.password });
    expect([kind, issuer.downstream, issuer.revocation]).toEqual(['mysql', `127.0.0.1:${port}`, 'immediate']);
    const ask = { resources: ['shop.orders'], actionClasses: ['read' as const] };
    await issuer.issue({ ...requestFor(newLease(issuer), AbortSignal.timeout(5_000)), ...ask });
    const sent = server.statements.join('\n');
    expect(sent).toMatch(/@'10\.0\.0\.%' .* REQUIRE SSL WITH MAX_USER_CONNECTIONS 3 MAX_STATEMENT_TIME 9/);
    expect(sent).toContain('CREATE EVENT `ends`.');
    await issuer.close();
    await server.stop();
  });

  it('nats: is at its servers and in its account', async () => {
    const account = createAccount().getPublicKey();
    const secrets = { accountKey: 'a', operatorKey: 'o', systemCredentials: 's' };
    const nats = { servers: ['nats://n1:4222', 'nats://n2:4222'], operator: createOperator().getPublicKey(), account };
    const { kind, issuer } = await make({ nats: { ...nats, ...secrets } });
    expect([kind, issuer.downstream, issuer.revocation]).toEqual(['nats', `n1:4222,n2:4222/${account}`, 'immediate']);
    await issuer.close();
  });

  it('ssh: its list is beside the configuration, and its class is what the owner says of it', async () => {
    const ssh = { servers: 'web fleet', caKey: 'ca', classes: { read: { forceCommand: 'id' } }, krlFile: 'revoked' };
    const secrets = { ca: sshpk.generatePrivateKey('ed25519').toString('openssh') };
    const { kind, issuer } = await make({ ssh }, secrets);
    expect([kind, issuer.downstream, issuer.revocation]).toEqual(['ssh', 'web fleet', 'expiry_only']);
    const lease = newLease(issuer);
    const ask = { resources: ['deploy'], actionClasses: ['read' as const] };
    await issuer.issue({ ...requestFor(lease, AbortSignal.timeout(5_000)), ...ask });
    expect((await readFile(join(folder, 'revoked'))).subarray(0, 6).toString()).toBe('SSHKRL');
    const shared = await make({ ssh: { ...ssh, sharedKrl: true } }, secrets);
    expect(shared.issuer.revocation).toBe('next_use');
  });
});
