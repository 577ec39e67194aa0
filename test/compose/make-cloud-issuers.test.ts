import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { ConnectorTokens } from '../../src/compose/credentials/connector-tokens.ts';
import { makeIssuer } from '../../src/compose/credentials/make-issuer.ts';
import type { EstateConnector } from '../../src/compose/estate.ts';
import type { Workspace } from '../../src/compose/workspace.ts';
import { credentialSchema } from '../../src/config/credential-schema.ts';
import { Secret } from '../../src/domain/secret.ts';
import type { ActionClass } from '../../src/domain/tool.ts';
import type { IssuedCredential, Issuer } from '../../src/seams/issuer.ts';
import { createSigningGateway } from '../issuers/signing-gateway.ts';
import { newLease, requestFor } from '../suites/issuer-suite.ts';
import { startFakeAws } from '../support/fake-aws.ts';
import { startFakeEntra } from '../support/fake-entra.ts';
import { startFakeGoogle } from '../support/fake-google.ts';
import { startFakeKubernetes } from '../support/fake-kubernetes.ts';
import { startFakeVault } from '../support/fake-vault.ts';
import { selfSigned } from '../support/self-signed.ts';

/** From a connector's section of `remit.yaml` to a credential: that each setting gets where it belongs. */
describe('an issuer made of configuration', () => {
  const stops: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const stop of stops.splice(0).reverse()) await stop();
  });

  const secrets = new Map<string, string>();
  const workspace = {
    vault: { get: async (name: string) => new Secret(secrets.get(name) ?? '') },
    config: { sharedSecrets: [] },
    loaded: { resolvePath: (path: string) => resolve('/nowhere', path) },
    system: { clock: Date.now, random: randomBytes },
  } as unknown as Workspace;

  async function make(section: object, tokens = {} as ConnectorTokens): Promise<Issuer> {
    const credential = credentialSchema.parse(section);
    const connector = { id: 'shop' } as unknown as EstateConnector;
    const { issuer } = await makeIssuer(workspace, tokens, connector, credential);
    stops.push(() => issuer.close());
    return issuer;
  }

  async function issue(issuer: Issuer, resources: string[], actionClasses: ActionClass[]): Promise<IssuedCredential> {
    const request = requestFor(newLease(issuer), AbortSignal.timeout(5_000));
    return issuer.issue({ ...request, resources, actionClasses });
  }

  it('vault: logs in with a JWT of the gateway’s, in its namespace, and reads as its policies allow', async () => {
    const vault = await startFakeVault({ namespace: 'shop' });
    stops.push(() => vault.close());
    const gateway = await createSigningGateway();
    vault.policies.set('remit', ['auth/token/', 'sys/leases/']).set('creds', ['database/creds/']);
    vault.databaseRoles.set('reader', 3600);
    const role = { issuer: gateway.url, keys: gateway.keys, policies: ['remit', 'creds'], ttl: 7200 };
    vault.jwtRoles.set('gateway', { ...role, audience: 'vault' });
    const settings = {
      address: vault.url,
      namespace: 'shop',
      login: { jwt: { role: 'gateway', audience: 'vault' } },
      roles: [{ role: 'reader', classes: ['read'], resources: ['orders/*'] }],
      policies: ['creds'],
    };
    const issuer = await make({ vault: settings }, gateway as unknown as ConnectorTokens);
    const issued = await issue(issuer, ['orders/1'], ['read']);
    expect(Object.keys(issued.fields)).toEqual(['username', 'password']);
    expect(issuer.revocation).toBe('next_use');
    expect(vault.liveTokens().some(({ policies }) => policies.join() === 'creds')).toBe(true);
    await issuer.revoke(newLease(issuer), issued.handle);
    expect(vault.liveLeases()).toEqual([]);
  });

  it('vault: says which file with certificates it cannot read', async () => {
    const vault = {
      address: 'https://vault.example.com',
      login: { token: 'vault-token' },
      roles: [{ role: 'reader', classes: ['read'] }],
      caFile: 'ca.pem',
    };
    await expect(make({ vault })).rejects.toMatchObject({ code: 'ERR_CONFIG_INVALID', where: '/nowhere/ca.pem' });
    expect(() => credentialSchema.parse({ vault: { ...vault, login: {} } })).toThrow('exactly one of token');
  });

  it('static: reads the key of a Vault that it names, under its exception', async () => {
    const vault = await startFakeVault();
    stops.push(() => vault.close());
    vault.kv.set('teams/crm', { token: 'canary-kv-77' });
    secrets.set('vault-token', vault.rootToken);
    const controls = { tools: ['get_customer'], callsPerMinute: 60, callsPerMinutePerTask: 30 };
    const exception = { owner: 'erin', reason: 'the vendor has no other', expires: '2099-01-01T00:00:00Z', controls };
    const vaultKv = { address: vault.url, login: { token: 'vault-token' }, path: 'teams/crm', key: 'token' };
    const issuer = await make({ static: { vaultKv, exception } });
    const issued = await issue(issuer, [], ['read']);
    expect(issued.fields.token?.reveal()).toBe('canary-kv-77');
    expect(issued.scope).toContain('version 3 of a static secret under exception of erin');
    expect(issuer.downstream).toBe(`secret token of secret/teams/crm at ${vault.url}`);
    expect(issuer.revocation).toBe('expiry_only');
    expect(() => credentialSchema.parse({ static: { vaultKv } })).toThrow('exception');
    expect(() => credentialSchema.parse({ static: { vaultKv, secret: 'crm', exception } })).toThrow('or vaultKv');
    expect(() => credentialSchema.parse({ static: { exception } })).toThrow('or vaultKv');
  });

  it('kubernetes: goes by the token in its file, as it is by then', async () => {
    const kube = await startFakeKubernetes();
    stops.push(() => kube.close());
    kube.serviceAccounts.add('viewer');
    const folder = await mkdtemp(join(tmpdir(), 'remit-kube-'));
    stops.push(() => rm(folder, { recursive: true }));
    const tokenFile = join(folder, 'token');
    const settings = {
      server: kube.url,
      tokenFile,
      namespace: kube.namespace,
      serviceAccounts: [{ serviceAccount: 'viewer', classes: ['read'] }],
      audiences: ['https://mcp.example.com'],
      reviewed: true,
    };
    const issuer = await make({ kubernetes: settings });
    await expect(issue(issuer, [], ['read'])).rejects.toThrow(`${tokenFile} has no token in it`);
    await writeFile(tokenFile, `${kube.token}\n`);
    const issued = await issue(issuer, [], ['read']);
    expect(kube.admits(issued.fields.token?.reveal() ?? '', 'https://mcp.example.com')).toBe(true);
    expect(issuer.revocation).toBe('next_use');
    expect(() => credentialSchema.parse({ kubernetes: { ...settings, token: 'kube' } })).toThrow(
      'a token or a tokenFile',
    );
  });

  it('aws: signs with the key of the vault, and says what the task is for', async () => {
    const aws = await startFakeAws();
    stops.push(() => aws.close());
    const roleArn = 'arn:aws:iam::123456789012:role/reports';
    const policy = [{ Effect: 'Allow', Action: '*', Resource: '*' }] as const;
    aws.roles.set(roleArn, { policy, mayTag: true, maxSeconds: 3600 });
    secrets.set('aws-key', aws.secretAccessKey);
    const settings = {
      region: aws.region,
      endpoint: aws.url,
      accessKeyId: aws.accessKeyId,
      secretAccessKey: 'aws-key',
      roleArn,
      statements: [{ classes: ['read'], actions: ['s3:GetObject'], resources: ['arn:aws:s3:::reports/{resource}'] }],
    };
    const issuer = await make({ aws: settings });
    const { fields } = await issue(issuer, ['2026/*'], ['read']);
    const [id, key, token] = ['accessKeyId', 'secretAccessKey', 'sessionToken'].map(
      (name) => fields[name]?.reveal() ?? '',
    );
    const allows = (arn: string) => aws.allows(id ?? '', key ?? '', token ?? '', 's3:GetObject', arn);
    expect([allows('arn:aws:s3:::reports/2026/may'), allows('arn:aws:s3:::reports/2025/may')]).toEqual([true, false]);
    expect([...aws.sessions.values()].at(-1)?.tags).toMatchObject({ 'remit:connector': 'suite' });
  });

  it('gcp: asks where it is configured to, as the account that it names', async () => {
    const google = await startFakeGoogle();
    stops.push(() => google.close());
    const impersonate = 'reports@shop.iam.gserviceaccount.com';
    const role = 'roles/storage.objectViewer';
    google.impersonable.add(impersonate);
    google.roles.set(impersonate, [role]);
    secrets.set('gcp-key', google.key);
    const endpoints = { token: `${google.url}/token`, sts: `${google.url}/v1/token`, iamCredentials: google.url };
    const rules = [{ classes: ['read'], bucket: 'reports', roles: [role], objects: '{resource}' }];
    const issuer = await make({ gcp: { key: 'gcp-key', impersonate, rules, endpoints } });
    const token = (await issue(issuer, ['2026/*'], ['read'])).fields.token?.reveal() ?? '';
    expect([google.allows(token, role, 'reports', '2026/a'), google.allows(token, role, 'reports', '2025/a')]).toEqual([
      true,
      false,
    ]);
  });

  it('entra: shows the certificate of the vault', async () => {
    const entra = await startFakeEntra();
    stops.push(() => entra.close());
    const { pem, certificate } = selfSigned();
    entra.certificates.push(certificate);
    entra.resources.add('api://mail');
    secrets.set('entra-app', pem);
    const { directory, clientId, url } = entra;
    const scopes = [{ scope: 'api://mail/.default', classes: ['read'] }];
    const issuer = await make({ entra: { directory, clientId, certificate: 'entra-app', scopes, authority: url } });
    const token = (await issue(issuer, [], ['read'])).fields.token?.reveal() ?? '';
    expect(entra.admits(token, 'api://mail')).toBe(true);
    expect(issuer.minTtlSeconds).toBe(5_400);
  });

  it.each([
    { vault: { address: 'https://169.254.169.254', login: { token: 't' }, roles: [{ role: 'r', classes: ['read'] }] } },
    {
      kubernetes: {
        server: 'https://10.0.0.1',
        token: 't',
        namespace: 'n',
        serviceAccounts: [{ serviceAccount: 'a', classes: ['read'] }],
      },
    },
    {
      gcp: {
        key: 'gcp-key',
        rules: [{ classes: ['read'], bucket: 'reports', roles: ['roles/r'] }],
        endpoints: { token: 'https://192.168.1.1' },
      },
    },
    {
      entra: {
        directory: 'd',
        clientId: 'c',
        certificate: 'entra-app',
        scopes: [{ scope: 'a/.default', classes: ['read'] }],
        authority: 'https://[fd00:ec2::254]',
      },
    },
  ])('goes to no address inside a network unless its owner says so: %j', async (section) => {
    secrets.set('t', 'a token');
    await expect(issue(await make(section), [], ['read'])).rejects.toThrow('an address that Remit may not go to');
  });
});
