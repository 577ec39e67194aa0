import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createClient } from '@redis/client';
import { jwtVerify } from 'jose';
import sshpk from 'sshpk';
import { afterEach, expect, it } from 'vitest';
import { parse } from 'yaml';
import { CREDENTIAL_KINDS, type CredentialKind } from '../../src/config/credential-schema.ts';
import { startPostgres } from '../support/embedded-postgres.ts';
import { startFakeAws } from '../support/fake-aws.ts';
import { startFakeEntra } from '../support/fake-entra.ts';
import { startFakeForeignAs } from '../support/fake-foreign-as.ts';
import { startFakeGithub } from '../support/fake-github.ts';
import { startFakeGoogle } from '../support/fake-google.ts';
import { startFakeIdJagServers } from '../support/fake-id-jag-servers.ts';
import { startFakeKubernetes } from '../support/fake-kubernetes.ts';
import { startFakeMysql } from '../support/fake-mysql-server.ts';
import { startFakeOauthServer } from '../support/fake-oauth-server.ts';
import { startFakeRedis } from '../support/fake-redis-server.ts';
import { judge } from '../support/fake-sshd.ts';
import { startFakeVault } from '../support/fake-vault.ts';
import { type Followed, openHowToChoose } from '../support/follow-how-to.ts';
import { selfSigned } from '../support/self-signed.ts';
import { createShop, runSql } from '../support/shop-database.ts';
import { createSigningGateway } from './signing-gateway.ts';

/**
 * `docs/how-to/choose-an-issuer.md`, as somebody would follow it: each block with addresses of servers that are here, its secrets under the names that the page
 * gives them, and at the downstream no right but those that the page says Remit needs. A lease is issued for what the page has a task name, used, and revoked.
 */
const gateway = await createSigningGateway();
const { follow, sectionOf, followed, makeFolder, started, endAll } = await openHowToChoose(gateway);
const CLIENT_SECRET = 'canary-client-5141';

afterEach(endAll);

/** A token that its server knows with that scope, until it is revoked. */
async function expectRevocable(
  { introspect }: { introspect(token: string): Promise<{ active: boolean; scope?: string }> },
  { field, revoke }: Followed,
  scope: string,
): Promise<void> {
  expect(await introspect(field('token'))).toMatchObject({ active: true, scope });
  await revoke();
  expect(await introspect(field('token'))).toMatchObject({ active: false });
}

it('postgres: CREATEROLE and rights with grant option are enough', async () => {
  const server = started(await startPostgres({ fsync: false }));
  await createShop(server);
  await runSql(
    server,
    `CREATE ROLE remit_admin LOGIN CREATEROLE PASSWORD 'canary-admin';
     GRANT SELECT ON orders TO remit_admin WITH GRANT OPTION`,
  );
  const { field, revoke } = await follow('postgres', {
    edits: { 'host: db.internal': `host: 127.0.0.1, port: ${server.port}`, 'tls: true': 'tls: false' },
    secrets: { 'shop-admin': 'canary-admin' },
    resources: ['public.orders(id,total)'],
  });
  const as = { user: field('username'), password: field('password') };
  expect(await runSql(server, 'SELECT id, total FROM orders ORDER BY id LIMIT 1', as)).toEqual([
    { id: 1, total: '10' },
  ]);
  await expect(runSql(server, 'SELECT customer FROM orders', as)).rejects.toThrow('permission denied');
  await revoke();
  await expect(runSql(server, 'SELECT 1', as)).rejects.toThrow();
});

it('redis', async () => {
  const server = started(await startFakeRedis());
  const { field, revoke } = await follow('redis', {
    edits: {
      'host: cache.internal': `host: 127.0.0.1, port: ${server.port}`,
      'adminUser: remit': 'adminUser: default',
      'tls: true': 'tls: false',
    },
    secrets: { 'cache-admin': server.password },
    resources: ['orders:*'],
  });
  const url = `redis://${field('username')}:${field('password')}@127.0.0.1:${server.port}`;
  const client = createClient({ url, socket: { reconnectStrategy: false } });
  client.on('error', () => {});
  await client.connect();
  expect(await client.get('orders:1')).toBeNull();
  await expect(client.get('sessions:1')).rejects.toThrow('NOPERM');
  client.destroy();
  await revoke();
  expect([...server.users.keys()]).toEqual(['default']);
});

it('mysql', async () => {
  const server = started(await startFakeMysql({ version: '10.11.6-MariaDB' }));
  const { field, revoke } = await follow('mysql', {
    edits: { 'host: db.internal': `host: 127.0.0.1, port: ${server.port}`, 'tls: true': 'tls: false' },
    secrets: { 'orders-admin': server.password },
    resources: ['shop.orders(id,total)'],
  });
  expect([...server.users.keys()]).toContain(field('username'));
  expect(server.events.size).toBe(1);
  await revoke();
  expect([...server.users.keys()]).toEqual(['remit_admin']);
});

it('ssh', async () => {
  const krlFile = join(await makeFolder(), 'revoked');
  const ca = sshpk.generatePrivateKey('ed25519');
  const { field, revoke } = await follow('ssh', {
    edits: { '/srv/ssh/revoked': krlFile },
    secrets: { 'web-ca': ca.toString('openssh') },
    resources: ['deploy'],
  });
  const login = () =>
    judge(
      { ca: ca.toPublic(), principal: 'deploy', krlFile, clock: Date.now },
      { privateKey: field('privateKey'), certificate: field('certificate') },
    );
  expect(await login()).toEqual({ isIn: true, command: 'internal-sftp -R' });
  await revoke();
  expect(await login()).toMatchObject({ isIn: false });
});

it('oauth', async () => {
  const server = started(
    await startFakeForeignAs({
      clientSecret: CLIENT_SECRET,
      assertionKeys: gateway.keys,
      gateway: gateway.url,
      scopes: ['contacts.read', 'contacts.write'],
    }),
  );
  const lease = await follow('oauth', {
    edits: { 'https://login.example.com': server.issuer },
    secrets: { 'crm-client': CLIENT_SECRET },
    resources: ['contacts/42'],
  });
  await expectRevocable(server, lease, 'contacts.read');
});

it('githubApp', async () => {
  const github = started(await startFakeGithub());
  const { field, revoke } = await follow('githubApp', {
    edits: { 'appId: Iv23liExample': `appId: ${github.appId}\n        api: ${github.url}` },
    secrets: { 'github-app-key': github.privateKey },
    resources: ['shop/api'],
  });
  expect(github.opens(field('token'))?.repositories).toEqual(['api']);
  await revoke();
  expect(github.opens(field('token'))).toBeUndefined();
});

it('idJag', async () => {
  const servers = started(
    await startFakeIdJagServers({
      clientSecret: CLIENT_SECRET,
      assertionKeys: gateway.keys,
      gateway: gateway.url,
      users: { ada: ['deals.read', 'deals.write'] },
      resource: 'https://deals.example.com/mcp',
    }),
  );
  const lease = await follow('idJag', {
    edits: {
      'https://idp.shop.example': servers.idp,
      'https://login.deals.example.com': servers.server,
      'clientId: remit-of-shop': `clientId: ${servers.clientId}`,
    },
    secrets: { 'idp-client': CLIENT_SECRET, 'deals-client': CLIENT_SECRET },
    user: { issuer: 'https://idp.example.com', subject: 'ada', groups: [] },
  });
  await expectRevocable(servers, lease, 'deals.read');
});

it('oauthRefresh', async () => {
  const server = started(await startFakeOauthServer());
  const { field, revoke } = await follow('oauthRefresh', {
    edits: { 'https://login.example.com': server.issuer, 'clientId: remit': 'clientId: by-hand' },
    secrets: {
      'calendar-client': 'canary-by-hand-secret-5512',
      'calendar-refresh': server.mintRefreshToken('calendar.read calendar.write'),
    },
  });
  expect(server.scopesOf(field('token'))).toEqual(['calendar.read']);
  await revoke();
});

it('jwt', async () => {
  const { field } = await follow('jwt', { edits: {} });
  const { payload } = await jwtVerify(field('token'), gateway.keys, {
    issuer: gateway.url,
    audience: 'https://billing.example.com/mcp',
    typ: 'connector+jwt',
    algorithms: ['ES256'],
  });
  expect(payload.scope).toBe('invoices.read');
});

it('vault: the policy that the page gives is enough', async () => {
  const vault = started(await startFakeVault({ namespace: 'shop' }));
  const [, hcl = ''] = /```hcl\n(.*?)```/s.exec(sectionOf('vault')) ?? [];
  const paths = [...hcl.matchAll(/^path "([^"]+)"/gm)].map(([, path = '']) => path);
  vault.policies.set('remit', paths).set('remit-warehouse-creds', ['database/creds/']);
  vault.databaseRoles.set('orders-reader', 3_600);
  const policies = ['remit', 'remit-warehouse-creds'];
  vault.approles.set('5f3c…', { secretId: 'canary-secret-id', policies, ttl: 7_200 });
  const { field, revoke } = await follow('vault', {
    edits: { 'https://vault.internal:8200': vault.url, '        caFile: vault-ca.pem\n': '' },
    secrets: { 'warehouse-secret-id': 'canary-secret-id' },
    resources: ['orders_2026'],
  });
  expect(vault.admits(field('username'), field('password'))).toBe(true);
  await revoke();
  expect(vault.admits(field('username'), field('password'))).toBe(false);
});

it('kubernetes: the rules that the page gives are enough', async () => {
  const kube = started(await startFakeKubernetes());
  const [, text = ''] = /```text\n(rules:.*?)```/s.exec(sectionOf('kubernetes')) ?? [];
  type Rule = { resources: string[]; verbs: string[]; resourceNames?: string[] };
  const { rules } = parse(text) as { rules: Rule[] };
  kube.rights.clear();
  for (const { resources, verbs, resourceNames = [] } of rules) {
    for (const resource of resources) for (const verb of verbs) kube.rights.add(`${verb} ${resource}`);
    for (const account of resourceNames) kube.serviceAccounts.add(account);
  }
  const tokenFile = join(await makeFolder(), 'token');
  await writeFile(tokenFile, kube.token);
  const { field, issued, revoke } = await follow('kubernetes', {
    edits: {
      'https://10.0.0.1:6443': kube.url,
      '/var/run/secrets/kubernetes.io/serviceaccount/token': tokenFile,
      '        caFile: /var/run/secrets/kubernetes.io/serviceaccount/ca.crt\n': '',
    },
    resources: ['deployments/web'],
    classes: ['write'],
  });
  expect(issued.scope).toBe('service account deployer in agents');
  const isAdmitted = () => kube.admits(field('token'), 'https://kubernetes.default.svc');
  expect(isAdmitted()).toBe(true);
  await revoke();
  expect([isAdmitted(), kube.secrets.size]).toEqual([false, 0]);
});

it('aws', async () => {
  const aws = started(await startFakeAws());
  const policy = [{ Effect: 'Allow', Action: '*', Resource: '*' }] as const;
  const role = { policy, externalId: 'shop', mayTag: true, maxSeconds: 3_600 };
  aws.roles.set('arn:aws:iam::123456789012:role/remit-reports', role);
  const { field } = await follow('aws', {
    edits: {
      'region: eu-west-1': `region: eu-west-1\n        endpoint: ${aws.url}`,
      AKIAIOSFODNN7EXAMPLE: aws.accessKeyId,
    },
    secrets: { 'reports-aws-key': aws.secretAccessKey },
    resources: ['2026/*'],
    classes: ['read', 'write'],
  });
  const key = ['accessKeyId', 'secretAccessKey', 'sessionToken'].map(field) as [string, string, string];
  const allows = (action: string, path: string): boolean => aws.allows(...key, action, `arn:aws:s3:::reports/${path}`);
  expect(allows('s3:GetObject', '2026/may')).toBe(true);
  expect([allows('s3:GetObject', '2025/may'), allows('s3:PutObject', '2026/may')]).toEqual([false, false]);
  // What the page denies by in an emergency.
  expect([...aws.sessions.values()].at(-1)?.tags).toHaveProperty('remit:task');
});

it('gcp', async () => {
  const google = started(await startFakeGoogle());
  const account = 'reports@shop-prod.iam.gserviceaccount.com';
  const [viewer, creator] = ['roles/storage.objectViewer', 'roles/storage.objectCreator'];
  google.impersonable.add(account);
  google.roles.set(account, [viewer, creator]);
  const { url } = google;
  const { field } = await follow('gcp', {
    edits: {
      'key: archive-key': `key: archive-key\n        endpoints: { token: "${url}/token", sts: "${url}/v1/token", iamCredentials: "${url}" }`,
    },
    secrets: { 'archive-key': google.key },
    resources: ['2026/*'],
    classes: ['read', 'write'],
  });
  const allows = (role: string, name: string): boolean => google.allows(field('token'), role, 'shop-reports', name);
  expect([allows(viewer, '2026/may'), allows(creator, 'out/2026/may')]).toEqual([true, true]);
  expect([allows(viewer, '2025/may'), allows(creator, '2026/may')]).toEqual([false, false]);
});

it('entra', async () => {
  const entra = started(await startFakeEntra());
  const { pem, certificate } = selfSigned();
  entra.certificates.push(certificate);
  entra.resources.add('https://graph.microsoft.com');
  const { field } = await follow('entra', {
    edits: {
      'clientId: 66666666-7777-8888-9999-000000000000': `clientId: ${entra.clientId}\n        authority: ${entra.url}`,
    },
    secrets: { 'mail-app-certificate': pem },
  });
  expect(entra.admits(field('token'), 'https://graph.microsoft.com')).toBe(true);
});

it('leaves out what needs real servers (nats: services/nats-how-to.test.ts), has a page of its own (mcpOauth, package), or an exception (static)', () => {
  const elsewhere: readonly CredentialKind[] = ['nats', 'mcpOauth', 'package', 'static'];
  expect([...followed].toSorted()).toEqual(CREDENTIAL_KINDS.filter((kind) => !elsewhere.includes(kind)).toSorted());
});
