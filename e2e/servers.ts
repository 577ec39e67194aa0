import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import pg from 'pg';
import { installPackages, run } from '../harness/install.ts';
import { startRedis } from '../harness/redis.ts';
import { freePort, startService } from '../harness/service.ts';
import { startPostgres } from '../test/support/embedded-postgres.ts';
import { notionAnswers, sentryAnswers, startFakeHost } from './fake-hosts.ts';

/** One real MCP server behind Remit, and one call of it that proves that it did its work. */
export interface ServerCase {
  /** Connector id. */
  readonly id: string;
  readonly title: string;
  /** YAML of the connector's `transport` and `credential`, in flow style. */
  readonly transport: string;
  readonly credential?: string;
  /** Name and value of vault secrets that the credential names. */
  readonly secrets?: Readonly<Record<string, string>>;
  readonly call: { readonly tool: string; readonly args: Readonly<Record<string, unknown>>; readonly expect: RegExp };
  /** Tables or the like that tasks may reach through it. */
  readonly resources?: readonly string[];
}

export interface Prepared {
  readonly cases: readonly ServerCase[];
  /** What could not be had here, by name, with the reason. */
  readonly missing: readonly { readonly title: string; readonly reason: string }[];
  close(): Promise<void>;
}

const PACKAGES = {
  '@modelcontextprotocol/server-everything': '2026.8.31',
  '@modelcontextprotocol/server-memory': '2026.8.31',
  '@modelcontextprotocol/server-sequential-thinking': '2026.8.31',
  '@modelcontextprotocol/server-redis': '2025.4.25',
  '@cyanheads/git-mcp-server': '2.15.3',
  '@playwright/mcp': '0.0.83',
  '@eslint/mcp': '0.3.13',
  'mcp-server-commands': '0.5.0',
  '@notionhq/notion-mcp-server': '2.5.2',
  '@sentry/mcp-server': '0.36.0',
  '@bytebase/dbhub': '0.21.2',
  '@sparticuz/chromium': '147.0.0',
};

/** Installs the servers and starts what stands behind them: databases, a browser, fake hosts. */
export async function prepareServers(folder: string): Promise<Prepared> {
  const modules = await installPackages('servers', PACKAGES);
  const own = resolve('node_modules');
  const node = (script: string, ...args: string[]): string =>
    `command: ${JSON.stringify([process.execPath, script, ...args])}, workingDirectory: ${JSON.stringify(folder)}`;
  const stdio = (inner: string, environment?: Readonly<Record<string, string>>): string =>
    `{ stdio: { ${inner}${environment === undefined ? '' : `, environment: ${JSON.stringify(environment)}`} } }`;
  const closers: (() => Promise<unknown>)[] = [];
  const cases: ServerCase[] = [];
  const missing: { title: string; reason: string }[] = [];
  /** Adds a case whose surroundings have to be started first; what cannot be had is named. */
  const add = async (title: string, make: () => Promise<ServerCase>): Promise<void> => {
    try {
      cases.push(await make());
    } catch (error) {
      missing.push({ title, reason: error instanceof Error ? (error.message.split('\n', 1)[0] ?? '') : String(error) });
    }
  };

  await mkdir(join(folder, 'files'), { recursive: true });
  await writeFile(join(folder, 'files', 'hello.txt'), 'hello from a file\n');
  await writeFile(join(folder, 'lint-me.js'), 'var unused = 1;\n');
  await writeFile(join(folder, 'eslint.config.mjs'), 'export default [{ rules: { "no-var": "error" } }];\n');
  const everything = join(modules, '@modelcontextprotocol/server-everything/dist/index.js');

  cases.push(
    {
      id: 'everything',
      title: 'everything, stdio',
      transport: stdio(node(everything, 'stdio')),
      call: { tool: 'echo', args: { message: 'over stdio' }, expect: /Echo: over stdio/ },
    },
    {
      id: 'filesystem',
      title: 'filesystem',
      transport: stdio(node(join(own, '@modelcontextprotocol/server-filesystem/dist/index.js'), join(folder, 'files'))),
      call: { tool: 'read_text_file', args: { path: join(folder, 'files', 'hello.txt') }, expect: /hello from a file/ },
    },
    {
      id: 'memory',
      title: 'memory',
      transport: stdio(node(join(modules, '@modelcontextprotocol/server-memory/dist/index.js')), {
        MEMORY_FILE_PATH: join(folder, 'memory.jsonl'),
      }),
      call: {
        tool: 'create_entities',
        args: { entities: [{ name: 'Remit', entityType: 'gateway', observations: ['governs calls'] }] },
        expect: /governs calls/,
      },
    },
    {
      id: 'thinking',
      title: 'sequential-thinking',
      transport: stdio(node(join(modules, '@modelcontextprotocol/server-sequential-thinking/dist/index.js'))),
      call: {
        tool: 'sequentialthinking',
        args: { thought: 'first', nextThoughtNeeded: false, thoughtNumber: 1, totalThoughts: 1 },
        expect: /thoughtNumber/,
      },
    },
    {
      id: 'lint',
      title: 'eslint',
      transport: stdio(node(join(modules, '@eslint/mcp/src/mcp-cli.js'))),
      call: { tool: 'lint-files', args: { filePaths: [join(folder, 'lint-me.js')] }, expect: /no-var/ },
    },
    {
      id: 'commands',
      title: 'commands (a shell)',
      transport: stdio(node(join(modules, 'mcp-server-commands/build/index.js'))),
      call: { tool: 'run_command', args: { command: 'echo from a shell' }, expect: /from a shell/ },
    },
  );

  await add('everything, Streamable HTTP', async () => {
    const port = await freePort();
    const service = await startService(process.execPath, [everything, 'streamableHttp'], {
      env: { PORT: String(port) },
      ready: /listening on port/i,
    });
    closers.push(service.stop);
    return {
      id: 'everything_http',
      title: 'everything, Streamable HTTP',
      transport: `{ http: { url: "http://127.0.0.1:${port}/mcp" } }`,
      call: { tool: 'get-sum', args: { a: 40, b: 2 }, expect: /42/ },
    };
  });

  await add('git', async () => {
    const repository = join(folder, 'repository');
    await mkdir(repository);
    const git = (...args: string[]) => run('git', ['-C', repository, ...args], { timeoutMs: 10_000 });
    await git('init', '-q', '-b', 'main');
    await git(
      '-c',
      'user.name=e2e',
      '-c',
      'user.email=e2e@example.com',
      'commit',
      '-q',
      '--allow-empty',
      '-m',
      'first',
    );
    return {
      id: 'git',
      title: 'git',
      transport: stdio(node(join(modules, '@cyanheads/git-mcp-server/dist/index.js')), {
        MCP_TRANSPORT_TYPE: 'stdio',
        MCP_LOG_LEVEL: 'error',
      }),
      call: { tool: 'git_log', args: { path: repository }, expect: /first/ },
    };
  });

  await add('postgres and dbhub', async () => {
    const postgres = await startPostgres();
    closers.push(() => postgres.stop());
    const password = randomBytes(18).toString('base64url');
    const root = new pg.Client({ connectionString: postgres.url('postgres') });
    await root.connect();
    await root.query(`CREATE ROLE remit_admin LOGIN CREATEROLE PASSWORD '${password}'`);
    await root.query('CREATE DATABASE shop OWNER remit_admin');
    await root.end();
    const admin = new pg.Client({
      connectionString: postgres.url('shop').replace(/\/\/[^@]*@/, `//remit_admin:${password}@`),
    });
    await admin.connect();
    await admin.query("CREATE TABLE orders (id int, item text); INSERT INTO orders VALUES (1, 'a lamp')");
    await admin.end();
    const credential = `{ postgres: { port: ${postgres.port}, database: shop, adminUser: remit_admin, adminPassword: shop_admin }`;
    const dsn = `postgres://{username}:{password}@127.0.0.1:${postgres.port}/shop?sslmode=disable`;
    cases.push({
      id: 'dbhub',
      title: 'dbhub, with a role per task in its DSN',
      transport: stdio(node(join(modules, '@bytebase/dbhub/dist/index.js'), '--transport', 'stdio')),
      credential: `${credential}, inject: { environment: { DSN: "${dsn}" } } }`,
      resources: ['dbhub:public.orders'],
      call: { tool: 'execute_sql', args: { sql: 'select item from orders' }, expect: /a lamp/ },
    });
    return {
      id: 'postgres',
      title: 'postgres, with a role per task',
      transport: stdio(
        node(
          join(own, '@modelcontextprotocol/server-postgres/dist/index.js'),
          `postgresql://127.0.0.1:${postgres.port}/shop`,
        ),
      ),
      credential: `${credential} }`,
      secrets: { shop_admin: password },
      resources: ['postgres:public.orders'],
      call: { tool: 'query', args: { sql: 'select item from orders' }, expect: /a lamp/ },
    };
  });

  await add('redis', async () => {
    const service = await startRedis({ folder: join(folder, 'redis') });
    closers.push(service.stop);
    return {
      id: 'redis',
      title: 'redis',
      transport: stdio(
        node(join(modules, '@modelcontextprotocol/server-redis/dist/index.js'), `redis://127.0.0.1:${service.port}`),
      ),
      call: { tool: 'set', args: { key: 'k', value: 'v' }, expect: /Successfully set/ },
    };
  });

  await add('playwright', async () => {
    const chromium = (await import(pathToFileURL(join(modules, '@sparticuz/chromium/build/esm/index.js')).href)) as {
      default: { executablePath(): Promise<string> };
    };
    const executable = await chromium.default.executablePath();
    const page = await startFakeHost(() => ({ page: 'shown by a browser' }));
    closers.push(page.close);
    return {
      id: 'playwright',
      title: 'playwright, with Chromium',
      transport: stdio(
        node(
          join(modules, '@playwright/mcp/cli.js'),
          '--headless',
          '--isolated',
          '--no-sandbox',
          '--executable-path',
          executable,
        ),
        { HOME: folder },
      ),
      call: { tool: 'browser_navigate', args: { url: `http://127.0.0.1:${page.port}/` }, expect: /127\.0\.0\.1/ },
    };
  });

  const exception = (tool: string) =>
    `{ owner: e2e@example.com, reason: fake host, expires: "2099-01-01T00:00:00Z", controls: { tools: [${tool}], callsPerMinute: 600, callsPerMinutePerTask: 600 } }`;
  await add('notion', async () => {
    const host = await startFakeHost(notionAnswers);
    closers.push(host.close);
    return {
      id: 'notion',
      title: 'notion, against a fake host',
      transport: stdio(node(join(modules, '@notionhq/notion-mcp-server/bin/cli.mjs')), {
        BASE_URL: `http://127.0.0.1:${host.port}`,
      }),
      credential: `{ static: { secret: notion_token, exception: ${exception('API-get-self')} }, inject: { environment: { NOTION_TOKEN: "{token}" } } }`,
      secrets: { notion_token: `ntn_${randomBytes(16).toString('hex')}` },
      call: { tool: 'API-get-self', args: {}, expect: /fake-notion bot/ },
    };
  });

  await add('sentry', async () => {
    const host = await startFakeHost(sentryAnswers);
    closers.push(host.close);
    return {
      id: 'sentry',
      title: 'sentry, against a fake host',
      transport: stdio(
        node(join(modules, '@sentry/mcp-server/dist/index.js'), `--host=127.0.0.1:${host.port}`, '--insecure-http'),
        { SENTRY_DSN: '', DO_NOT_TRACK: '1' },
      ),
      credential: `{ static: { secret: sentry_token, exception: ${exception('whoami')} }, inject: { environment: { SENTRY_ACCESS_TOKEN: "{token}" } } }`,
      secrets: { sentry_token: `sntryu_${randomBytes(32).toString('hex')}` },
      call: { tool: 'whoami', args: {}, expect: /Fake Sentry User|fake@sentry/ },
    };
  });

  return {
    cases,
    missing,
    async close() {
      for (const closer of closers.reverse()) await closer().catch(() => {});
    },
  };
}
