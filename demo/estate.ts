import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import pg from 'pg';
import { writeAgentKey } from '../src/agent/agent-key.ts';
import { type EmbeddedPostgres, startPostgres } from '../test/support/embedded-postgres.ts';
import { type FakeCompanyIdp, startFakeCompanyIdp } from '../test/support/fake-company-idp.ts';
import { type FakeCrm, startFakeCrm } from '../test/support/fake-crm-server.ts';
import { runRemit } from './run-remit.ts';

/** The demo's company: a shop with a database, shared files, a CRM that knows only a static token, and an identity provider. */
export interface DemoEstate {
  readonly folder: string;
  readonly config: string;
  /** Folder that the filesystem connector may see. */
  readonly files: string;
  readonly postgres: EmbeddedPostgres;
  readonly admin: pg.Client;
  readonly crm: FakeCrm;
  /** The CRM's token: known here only to look for leaks. */
  readonly crmToken: string;
  readonly idp: FakeCompanyIdp;
  readonly agentKey: string;
  readonly modules: string;
  close(): Promise<void>;
}

export const USER = 'alice';

/** Starts every part of the estate but the gateway, and writes the configuration, policies, keys and secrets that it reads. */
export async function buildEstate(options: { port?: number } = {}): Promise<DemoEstate> {
  const folder = await mkdtemp(join(tmpdir(), 'remit-demo-'));
  const closers: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })];
  const close = async (): Promise<void> => {
    for (const closer of closers.splice(0).reverse()) await closer().catch(() => {});
  };
  try {
    const postgres = await startPostgres();
    closers.push(() => postgres.stop());
    const crmToken = `crm_${randomBytes(24).toString('base64url')}`;
    const crm = await startFakeCrm({ token: crmToken });
    closers.push(() => crm.close());
    const idp = await startFakeCompanyIdp({
      users: [{ sub: USER, email: 'alice@shop.example', groups: ['support'] }],
      audience: 'https://remit.shop.example',
    });
    closers.push(() => idp.close());

    const adminPassword = await seedShop(postgres);
    const admin = new pg.Client({ connectionString: postgres.url('shop') });
    await admin.connect();
    admin.on('error', () => {});
    closers.push(() => admin.end());

    const files = join(folder, 'files');
    await mkdir(join(files, 'shared'), { recursive: true });
    await mkdir(join(files, 'private'));
    await writeFile(join(files, 'shared', 'returns-policy.md'), 'Customers may return goods within 30 days.\n');
    await writeFile(join(files, 'private', 'salaries.csv'), 'name,salary\nDana,90000\n');

    const agentKey = join(folder, '.remit', 'agents', 'shop-helper.key.json');
    await writeAgentKey('shop-helper', {
      privateKey: agentKey,
      publicKeys: join(folder, 'agents', 'shop-helper.jwks.json'),
    });
    const modules = resolve('node_modules');
    const config = join(folder, 'remit.yaml');
    await writeFile(config, configText({ port: options.port ?? 0, postgres, crm, idp, files, modules }));
    await writePolicies(folder, files, idp.issuer);

    await runRemit(['secret', 'init', '--config', config]);
    await runRemit(['secret', 'put', 'shop_admin', '--config', config], adminPassword);
    await runRemit(['secret', 'put', 'crm_token', '--config', config], crmToken);
    return { folder, config, files, postgres, admin, crm, crmToken, idp, agentKey, modules, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** A database with orders and a table that the task has no business with; the administering role is no superuser. */
async function seedShop(postgres: EmbeddedPostgres): Promise<string> {
  const password = randomBytes(18).toString('base64url');
  const root = new pg.Client({ connectionString: postgres.url('postgres') });
  await root.connect();
  await root.query('CREATE DATABASE shop');
  await root.query(`CREATE ROLE remit_admin LOGIN CREATEROLE PASSWORD '${password}'`);
  await root.query('GRANT ALL ON DATABASE shop TO remit_admin WITH GRANT OPTION');
  await root.end();
  const shop = new pg.Client({ connectionString: postgres.url('shop') });
  await shop.connect();
  await shop.query(await readFile(resolve('demo/shop.sql'), 'utf8'));
  await shop.end();
  return password;
}

async function writePolicies(folder: string, files: string, issuer: string): Promise<void> {
  await mkdir(join(folder, 'policies'));
  for (const name of ['shop.cedar', 'shop.cases.yaml']) {
    const text = await readFile(resolve('demo', name), 'utf8');
    await writeFile(join(folder, 'policies', name), text.replaceAll('{files}', files).replaceAll('{issuer}', issuer));
  }
}

function configText(parts: {
  port: number;
  postgres: EmbeddedPostgres;
  crm: FakeCrm;
  idp: FakeCompanyIdp;
  files: string;
  modules: string;
}): string {
  const { port, postgres, crm, idp, files, modules } = parts;
  const expires = new Date(Date.now() + 90 * 86_400_000).toISOString();
  return `version: 1
environment: demo
listen: { port: ${port} }
identityProviders:
  - issuer: ${idp.issuer}
    audience: https://remit.shop.example
agents:
  shop-helper:
    owner: dana@shop.example
    publicKeys: agents/shop-helper.jwks.json
connectors:
  shop_db:
    owner: dana@shop.example
    transport:
      stdio:
        command: [${process.execPath}, ${modules}/@modelcontextprotocol/server-postgres/dist/index.js, "postgresql://127.0.0.1:${postgres.port}/shop"]
    credential:
      postgres: { port: ${postgres.port}, database: shop, adminUser: remit_admin, adminPassword: shop_admin }
      ttlSeconds: 120
    tools:
      query: { class: read, dataClasses: [customer], arguments: { sql: string }, approvedBy: dana@shop.example }
  files:
    owner: dana@shop.example
    transport:
      stdio:
        command: [${process.execPath}, ${modules}/@modelcontextprotocol/server-filesystem/dist/index.js, ${files}]
    tools:
      read_text_file: { class: read, arguments: { path: path }, approvedBy: dana@shop.example }
      list_directory: { class: read, arguments: { path: path }, approvedBy: dana@shop.example }
      write_file: { class: write, arguments: { path: path }, approvedBy: dana@shop.example }
  crm:
    owner: erin@shop.example
    transport:
      http: { url: "${crm.url}" }
    credential:
      static:
        secret: crm_token
        exception:
          owner: erin@shop.example
          reason: the vendor issues only static tokens
          expires: "${expires}"
          controls: { tools: [get_customer], callsPerMinute: 60, callsPerMinutePerTask: 30 }
    tools:
      get_customer: { class: read, dataClasses: [customer], arguments: { id: string }, approvedBy: erin@shop.example }
templates:
  order-support:
    owner: dana@shop.example
    purpose: Answer customers' questions about their orders
    agents: [shop-helper]
    classes: [read]
    tools: [shop_db/query, files/read_text_file, files/list_directory, crm/get_customer]
    resources: ["shop_db:public.orders"]
    calls: 50
    maxDurationSeconds: 900
    requiresUser: true
`;
}
