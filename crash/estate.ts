import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { JWK } from 'jose';
import { stringify } from 'yaml';
import { runRemit } from '../demo/run-remit.ts';
import { freePort } from '../harness/service.ts';
import { writeAgentKey } from '../src/agent/agent-key.ts';
import type { LeaseMode } from '../src/domain/lease.ts';
import { DATABASE } from './downstream.ts';

const OWNER = 'crash@example.com';
export const AGENTS = ['crash-one', 'crash-two'] as const;

/** Says in a connector's environment whose process it is. */
export const HOME_VARIABLE = 'REMIT_CRASH_HOME';

export interface HomePlan {
  readonly postgres: { readonly port: number; readonly password: string; readonly toolsUrl: string };
  readonly redis?: { readonly port: number; readonly password: string; readonly toolsUrl: string } | undefined;
  /** A connector over stdio too, whose server reaches PostgreSQL at this port. */
  readonly stdioPort?: number | undefined;
  /** What one credential is for, of each connector over HTTP; left out: a task. */
  readonly modes?: { readonly shop: LeaseMode; readonly cache: LeaseMode } | undefined;
  /** Undefined for SQLite; otherwise where it is, and the environment variable that says so. */
  readonly store?: { readonly url: string; readonly variable: string } | undefined;
}

/** A gateway's home: configuration, keys, policies, data. It outlives the gateways that are killed in it. */
export interface Home {
  readonly folder: string;
  readonly config: string;
  readonly data: string;
  readonly connectors: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly storeUrl: string | undefined;
  readonly keys: ReadonlyMap<string, JWK>;
  remove(): Promise<void>;
}

export async function makeHome(plan: HomePlan): Promise<Home> {
  const folder = await mkdtemp(join(tmpdir(), 'remit-crash-'));
  const config = join(folder, 'remit.yaml');
  const connectors = connectorsOf(plan, folder);
  const names = Object.keys(connectors);
  const port = await freePort();
  const estate = {
    version: 1,
    listen: { port },
    ...(plan.store !== undefined && { store: { kind: 'postgres', urlVariable: plan.store.variable } }),
    agents: Object.fromEntries(AGENTS.map((id) => [id, { owner: OWNER, publicKeys: `${id}.jwks.json` }])),
    connectors,
    // Both connectors open one database, as its one administrator.
    ...(plan.stdioPort !== undefined && {
      sharedSecrets: [
        {
          secrets: ['postgres_admin'],
          connectors: ['shop', 'worker'],
          owner: OWNER,
          reason: 'one database',
          expires: '2099-01-01T00:00:00Z',
        },
      ],
    }),
    templates: {
      work: {
        owner: OWNER,
        purpose: 'be interrupted',
        agents: AGENTS,
        classes: ['read'],
        tools: names.map((name) => `${name}/look`),
        resources: names.map((name) => `${name}:${name === 'cache' ? 'orders:*' : 'public.orders'}`),
        calls: 1000,
      },
    },
  };
  await writeFile(config, stringify(estate, { aliasDuplicateObjects: false }));
  await mkdir(join(folder, 'policies'));
  await writeFile(
    join(folder, 'policies', 'crash.cedar'),
    `@id("crash-reads")
permit (principal, action in [Remit::Action::"discover", Remit::Action::"read"], resource);
`,
  );
  const keys = new Map<string, JWK>();
  for (const id of AGENTS) {
    const files = { privateKey: join(folder, `${id}.key.json`), publicKeys: join(folder, `${id}.jwks.json`) };
    await writeAgentKey(id, files);
    keys.set(id, JSON.parse(await readFile(files.privateKey, 'utf8')) as JWK);
  }
  const environment = plan.store === undefined ? {} : { [plan.store.variable]: plan.store.url };
  Object.assign(process.env, environment);
  await runRemit(['secret', 'init', '--config', config]);
  await runRemit(['secret', 'put', 'postgres_admin', '--config', config], plan.postgres.password);
  if (plan.redis !== undefined)
    await runRemit(['secret', 'put', 'redis_admin', '--config', config], plan.redis.password);
  return {
    folder,
    config,
    data: join(folder, '.remit'),
    connectors: names,
    environment,
    storeUrl: plan.store?.url,
    keys,
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

function connectorsOf(
  { postgres, redis, stdioPort, modes = { shop: 'task', cache: 'task' } }: HomePlan,
  folder: string,
): Record<string, object> {
  const common = {
    owner: OWNER,
    protocol: 'legacy',
    timeoutSeconds: 10,
    tools: { look: { class: 'read', approvedBy: OWNER } },
  };
  const headers = { 'x-user': '{username}', 'x-password': '{password}' };
  const postgresIssuer = {
    port: postgres.port,
    database: DATABASE,
    adminUser: 'postgres',
    adminPassword: 'postgres_admin',
  };
  return {
    shop: {
      ...common,
      transport: { http: { url: postgres.toolsUrl } },
      credential: { postgres: postgresIssuer, mode: modes.shop, ttlSeconds: 10, inject: { headers } },
    },
    ...(redis !== undefined && {
      cache: {
        ...common,
        transport: { http: { url: redis.toolsUrl } },
        credential: {
          redis: { port: redis.port, adminUser: 'default', adminPassword: 'redis_admin' },
          mode: modes.cache,
          ttlSeconds: 10,
          inject: { headers },
        },
      },
    }),
    ...(stdioPort !== undefined && {
      worker: {
        ...common,
        transport: {
          stdio: {
            command: [process.execPath, resolve('dist/crash/fake-stdio-tools.js'), String(stdioPort), DATABASE],
            environment: { [HOME_VARIABLE]: folder },
          },
        },
        credential: { postgres: postgresIssuer, ttlSeconds: 10 },
      },
    }),
  };
}
