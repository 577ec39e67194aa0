import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Client } from '@modelcontextprotocol/client';
import { createClient } from '@redis/client';
import { createRemoteJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { commandLines, environmentOf, isAlive } from '../../demo/processes.ts';
import type { LeaseView } from '../../src/leases/lease-view.ts';
import { endAll, run, runJson, startUp, type Up, until } from '../cli/remit.ts';
import { type FakeBearerServer, startFakeBearerServer } from '../support/fake-bearer-server.ts';
import { type FakeCompanyIdp, startFakeCompanyIdp } from '../support/fake-company-idp.ts';
import { type FakeForeignAs, startFakeForeignAs } from '../support/fake-foreign-as.ts';
import { type FakeRedisServer, startFakeRedis } from '../support/fake-redis-server.ts';
import { connectTo, type Estate, exceptionFor, findPort, makeClient, makeEstate } from '../support/whole-gateway.ts';

/**
 * One whole gateway, a process of its own, with a credential of each newer kind: a Redis login in a URL in a variable (`cache`), a token that the
 * gateway signs (`ledger`), an exchanged token a task (`crm`) and a call (`deals`), and a vault's secret in a URL on a descriptor (`archive`).
 */
const SERVER = resolve('test/support/fake-credential-server.mjs');
const RESOURCE = 'https://crm.example.com/mcp';
const CLIENT_SECRET = `client_${randomBytes(20).toString('hex')}`;
/** What does not stand in a URL as it is. */
const ARCHIVE_SECRET = `a/b@c:d%e ${randomBytes(20).toString('hex')}`;
const WITHHELD = '[withheld by Remit: a credential]';

let redis: FakeRedisServer;
let idp: FakeCompanyIdp;
let foreign: FakeForeignAs;
let ledger: FakeBearerServer;
let crm: FakeBearerServer;
let deals: FakeBearerServer;
let estate: Estate;
let gateway: Up;
/** All that the agent and whoever reads the command line's output ever saw. */
const told: string[] = [];
/** Of gateways that are gone. */
const outputs: string[] = [];
/** Passwords of Redis logins that were leased. */
const logins: string[] = [];

function demand(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}

beforeAll(async () => {
  const port = await findPort();
  const origin = `http://127.0.0.1:${port}`;
  const keys = createRemoteJWKSet(new URL(`${origin}/oauth/jwks`), { cooldownDuration: 0 });
  redis = await startFakeRedis();
  const admin = await connectToRedis(`redis://default:${redis.password}@127.0.0.1:${redis.port}`);
  await admin.set('orders:1', 'two lamps');
  await admin.set('sessions:1', 'of somebody');
  admin.destroy();
  idp = await startFakeCompanyIdp({
    users: [{ sub: 'ada', email: 'ada@shop.example', groups: [] }],
    audience: 'remit',
  });
  foreign = await startFakeForeignAs({
    clientSecret: CLIENT_SECRET,
    assertionKeys: keys,
    gateway: origin,
    clientKeysUri: `${origin}/oauth/jwks`,
    scopes: ['contacts.read', 'contacts.write', 'admin'],
  });
  ledger = await startFakeBearerServer('ledger', async (token, tool) => {
    const rules = { issuer: origin, audience: ledger.url, typ: 'connector+jwt', algorithms: ['ES256'] };
    const { payload } = await jwtVerify(token, keys, { ...rules, requiredClaims: ['exp', 'task', 'sub', 'jti'] });
    const { act, scope } = payload as { act?: { sub?: string }; scope?: string };
    if (tool === undefined) return;
    demand(act?.sub === 'scribe', 'nobody acts');
    demand(scope === 'ledger.read', `the scope is ${scope}`);
  });
  const introspecting = (name: string) =>
    startFakeBearerServer(name, async (token, tool) => {
      const { active, aud, scope } = await foreign.introspect(token);
      demand(active, 'not active');
      demand(aud === RESOURCE, `for ${aud}`);
      demand(tool === undefined || scope === 'contacts.read', `the scope is ${scope}`);
    });
  crm = await introspecting('crm');
  deals = await introspecting('deals');
  estate = await makeEstate({
    port,
    secrets: { redis_admin: redis.password, crm_client: CLIENT_SECRET, archive_key: ARCHIVE_SECRET },
    yaml: () => yaml(),
  });
  await writeFile(join(estate.folder, 'user.jwt'), await idp.signInAs('ada'), { mode: 0o600 });
  gateway = await startUp(estate.config);
});

afterAll(async () => {
  await gateway?.stop();
  await endAll();
  await Promise.all([redis?.stop(), idp?.close(), foreign?.close(), ledger?.close(), crm?.close(), deals?.close()]);
});

const yaml = (): string => {
  const tools =
    '{ look: { class: read, approvedBy: dana@shop.example }, tell: { class: read, approvedBy: dana@shop.example } }';
  const process_ = `{ stdio: { command: ${JSON.stringify([process.execPath, SERVER])}`;
  const oauth = `server: "${foreign.issuer}", resource: "${RESOURCE}", introspected: true, scopes: { read: [contacts.read], write: [contacts.write] }`;
  return `identityProviders:
  - { issuer: "${idp.issuer}", audience: remit, jwksUri: "${idp.jwksUri}" }
connectors:
  cache:
    owner: dana@shop.example
    transport: ${process_} } }
    credential:
      redis: { port: ${redis.port}, adminPassword: redis_admin }
      inject: { environment: { SERVICE_URL: "redis://{username|url}:{password|url}@127.0.0.1:${redis.port}/0" } }
    tools: ${tools}
  ledger:
    owner: dana@shop.example
    transport: { http: { url: "${ledger.url}" } }
    credential: { jwt: { scopes: { read: [ledger.read] } }, ttlSeconds: 10 }
    tools: ${tools}
  crm:
    owner: dana@shop.example
    transport: { http: { url: "${crm.url}" } }
    credential: { oauth: { ${oauth}, clientId: remit, clientSecret: crm_client, resources: { "contacts/*": [contacts.read, contacts.write] } } }
    tools: ${tools}
  deals:
    owner: dana@shop.example
    transport: { http: { url: "${deals.url}" } }
    credential: { mode: call, oauth: { ${oauth}, clientId: keyed } }
    tools: ${tools}
  archive:
    owner: dana@shop.example
    transport: ${process_}, environment: { SERVICE_URL_FILE: /dev/fd/3 } } }
    credential:
      static: { secret: archive_key, exception: ${exceptionFor('look', 'tell')} }
      inject: { descriptors: { 3: "https://scribe:{token|url}@archive.example/" } }
    tools: ${tools}
templates:
  work:
    owner: dana@shop.example
    purpose: look things up
    agents: [scribe]
    classes: [read]
    tools: [${['cache', 'ledger', 'crm', 'deals', 'archive'].map((name) => `${name}/look, ${name}/tell`).join(', ')}]
    resources: ["cache:orders:*", "ledger:accounts/7", "crm:contacts/42"]
`;
};

interface Work {
  readonly task: string;
  readonly token: string;
  /** Text of a tool's answer. */
  call(connector: string, tool: 'look' | 'tell', id: string): Promise<{ text: string; isError: boolean }>;
  leases(connector: string): Promise<LeaseView[]>;
  end(): Promise<void>;
}

/** A task of its own, in Ada's name. */
async function startWork(): Promise<Work> {
  const at = ['--config', estate.config];
  const user = ['--user-token-file', join(estate.folder, 'user.jwt')];
  const { task, access_token: token } = await runJson<{ task: string; access_token: string }>([
    ...['task', 'start', '--agent', 'scribe', '--template', 'work', ...user, ...at],
  ]);
  const client: Client = await connectTo(makeClient('modern'), gateway, token);
  told.push(JSON.stringify(await client.listTools()));
  return {
    task,
    token,
    async call(connector, tool, id) {
      const reply = await client
        .callTool({ name: `${connector}__${tool}`, arguments: { id } })
        .catch((error: Error) => {
          told.push(String(error));
          throw error;
        });
      told.push(JSON.stringify(reply));
      const [part] = reply.content as { text?: string }[];
      return { text: part?.text ?? '', isError: reply.isError ?? false };
    },
    async leases(connector) {
      const { stdout } = await run(['lease', 'ls', '--all', '--json', '--task', task, ...at]);
      told.push(stdout);
      return (JSON.parse(stdout) as LeaseView[]).filter((lease) => lease.connector === connector);
    },
    async end() {
      const { code, stdout, stderr } = await run(['task', 'end', task, ...at]);
      told.push(stdout, stderr);
      expect(code, stderr).toBe(0);
      await client.close();
    },
  };
}

async function connectToRedis(url: string) {
  const client = createClient({ url, socket: { reconnectStrategy: false } });
  client.on('error', () => {});
  await client.connect();
  return client;
}

/** Processes of the server that have this variable: not what contains them, whose command line names the server too. */
const serversWith = (variable: string): number[] =>
  [...commandLines()]
    .filter(
      ([pid, line]) => line.startsWith(`${process.execPath} ${SERVER}`) && environmentOf(pid, variable) !== undefined,
    )
    .map(([pid]) => pid);

/** Shows a token to a server as its holder could, beside the gateway. */
async function show(server: FakeBearerServer, token: string, tool = 'look'): Promise<number> {
  const response = await fetch(server.url, {
    method: 'POST',
    headers: {
      Authorization: `Bearer ${token}`,
      'Content-Type': 'application/json',
      Accept: 'application/json, text/event-stream',
    },
    body: JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'tools/call',
      params: { name: tool, arguments: { id: 'x' } },
    }),
  });
  await response.text();
  return response.status;
}

const tokenOf = (server: FakeBearerServer): string => {
  const { token } = server.calls.at(-1) ?? {};
  if (token === undefined) throw new Error('it was not called');
  return token;
};

it('every connector is listed at the start, with a credential that opens nothing where it takes one', () => {
  expect(gateway.ready).toMatchObject({ tools: 10, undescribed: 0, problems: [] });
});

describe('a Redis login in a URL in a variable of a process', () => {
  it('L4 opens the task’s keys, is never shown to the agent, and is gone from Redis with the task', async () => {
    const work = await startWork();
    expect(await work.call('cache', 'look', 'orders:1')).toEqual({ text: 'two lamps', isError: false });
    const [active] = await work.leases('cache');
    expect(active).toMatchObject({
      state: 'active',
      mode: 'task',
      issuer: 'redis',
      downstream: `127.0.0.1:${redis.port}`,
      revocation: 'immediate',
      scope: 'read on orders:*',
    });
    expect([...redis.users.keys()]).toContain(active?.tag);
    const pids = serversWith('SERVICE_URL');
    const pid = pids.find((each) => environmentOf(each, 'SERVICE_URL')?.includes(active?.tag ?? '?'));
    const url = environmentOf(pid ?? 0, 'SERVICE_URL') ?? '';
    // It is a login of Redis’ own: whoever has it is in, for these keys alone.
    const holder = await connectToRedis(url);
    expect(await holder.get('orders:1')).toBe('two lamps');
    await expect(holder.get('sessions:1')).rejects.toThrow('NOPERM');
    expect((await work.call('cache', 'look', 'sessions:1')).isError).toBe(true);

    const { text } = await work.call('cache', 'tell', 'x');
    expect(text).toContain(WITHHELD);
    const { username, password } = new URL(url);
    logins.push(password);

    await work.end();
    expect(await work.leases('cache')).toMatchObject([{ state: 'ended', endReason: 'revoked' }]);
    expect([...redis.users.keys()]).not.toContain(username);
    await expect(holder.get('orders:1')).rejects.toThrow();
    await expect(connectToRedis(url)).rejects.toThrow('WRONGPASS');
    await until(() => !isAlive(pid ?? 0), 'its process is gone');
  });
});

describe('a token that the gateway signs', () => {
  it('L3 L7 names who acts for whom on what, is shown as lapsing once the task ended, and ends by its own time', async () => {
    const work = await startWork();
    expect(await work.call('ledger', 'look', 'accounts/7')).toEqual({ text: 'ledger has accounts/7', isError: false });
    const [active] = await work.leases('ledger');
    expect(active).toMatchObject({ mode: 'task', issuer: 'jwt', downstream: ledger.url, revocation: 'expiry_only' });
    const token = tokenOf(ledger);
    expect(decodeProtectedHeader(token).typ).toBe('connector+jwt');
    const claims = decodeJwt(token);
    expect(claims).toMatchObject({
      aud: ledger.url,
      sub: 'ada',
      act: { sub: 'scribe' },
      task: work.task,
      jti: active?.tag,
      scope: 'ledger.read',
      resources: ['accounts/7'],
    });
    expect(Number(claims.exp) * 1000).toBeLessThanOrEqual(Date.parse(active?.expiresAt ?? ''));
    expect((await work.call('ledger', 'tell', 'x')).text).toContain(WITHHELD);

    await work.end();
    const over = (await work.leases('ledger')).find(({ id }) => id === active?.id);
    // Ten seconds are soon over: either way it is not said to have been revoked.
    expect(['lapsing', 'ended']).toContain(over?.state);
    expect(Date.parse(over?.nativeExpiresAt ?? '')).toBe(Number(claims.exp) * 1000);
    if (Date.now() < Number(claims.exp) * 1000 - 2_000) {
      expect(over?.state).toBe('lapsing');
      expect(await show(ledger, token)).toBe(200);
    }
    await until(async () => (await show(ledger, token)) === 401, 'it has expired');
    expect(Date.now()).toBeGreaterThanOrEqual(Number(claims.exp) * 1000);
    expect(ledger.refusals.at(-1)).toContain('"exp" claim');
    await until(async () => (await work.leases('ledger')).every(({ state }) => state === 'ended'), 'its lease is over');
  });

  it('is neither a task token nor taken for one', async () => {
    const work = await startWork();
    expect(await show(ledger, work.token)).toBe(401);
    expect(ledger.refusals.at(-1)).toMatch(/"(aud|typ)"/);
    await work.call('ledger', 'look', 'accounts/7');
    const inverse = connectTo(makeClient('modern'), gateway, tokenOf(ledger));
    await expect(inverse).rejects.toThrow(/401|[Uu]nauthorized/);
    await work.end();
  });
});

describe('a token of another authorization server', () => {
  it('L4 is exchanged for the task, narrowed, and refused at its next use once the task ended', async () => {
    const work = await startWork();
    const before = foreign.exchanged.length;
    expect(await work.call('crm', 'look', 'contacts/42')).toEqual({ text: 'crm has contacts/42', isError: false });
    const [active] = await work.leases('crm');
    expect(active).toMatchObject({
      state: 'active',
      mode: 'task',
      issuer: 'oauth',
      downstream: `${foreign.issuer} as remit`,
      revocation: 'next_use',
      scope: `contacts.read at ${RESOURCE}`,
    });
    expect(foreign.exchanged.slice(before)).toMatchObject([
      {
        claims: {
          aud: foreign.issuer,
          sub: 'ada',
          act: { sub: 'scribe' },
          task: work.task,
          resources: ['contacts/42'],
        },
        asked: { resource: RESOURCE, scope: 'contacts.read' },
      },
    ]);
    const token = tokenOf(crm);
    expect(await foreign.introspect(token)).toMatchObject({ active: true, scope: 'contacts.read', aud: RESOURCE });
    expect((await work.call('crm', 'tell', 'x')).text).toContain(WITHHELD);
    expect(await show(crm, token)).toBe(200);

    await work.end();
    expect(await work.leases('crm')).toMatchObject([{ state: 'ended', endReason: 'revoked', uses: 2 }]);
    expect(await foreign.introspect(token)).toEqual({ active: false });
    expect(await show(crm, token)).toBe(401);
  });

  it('L4 a call: each has its own, by a client that proves itself with the gateway’s key, and it ends with the call', async () => {
    const work = await startWork();
    const tokens: string[] = [];
    for (const id of ['1', '2']) {
      expect(await work.call('deals', 'look', id)).toEqual({ text: `deals has ${id}`, isError: false });
      const token = tokenOf(deals);
      tokens.push(token);
      await until(async () => !(await foreign.introspect(token)).active, `the token of call ${id} is revoked`);
      expect(await show(deals, token)).toBe(401);
    }
    expect((await work.call('deals', 'tell', 'x')).text).toContain(WITHHELD);
    expect(new Set([...tokens, tokenOf(deals)]).size).toBe(3);
    const leases = await until(async () => {
      const all = await work.leases('deals');
      return all.every(({ state }) => state === 'ended') && all;
    }, 'leases that are over');
    expect(leases).toHaveLength(3);
    for (const lease of leases) {
      expect(lease).toMatchObject({ mode: 'call', uses: 1, endReason: 'call_over', revocation: 'next_use' });
      expect(lease.downstream).toBe(`${foreign.issuer} as keyed`);
    }
    await work.end();
  });
});

describe('a secret in a URL on a file descriptor of a process', () => {
  it('L6 L7 is read there by the server alone, and goes with its process', async () => {
    const work = await startWork();
    const digest = createHash('sha256').update(ARCHIVE_SECRET).digest('hex');
    expect(await work.call('archive', 'look', 'x')).toEqual({ text: `x by ${digest}`, isError: false });
    const [active] = await work.leases('archive');
    expect(active).toMatchObject({
      state: 'active',
      mode: 'task',
      issuer: 'static',
      downstream: 'secret archive_key',
      revocation: 'expiry_only',
    });
    const { text } = await work.call('archive', 'tell', 'x');
    expect(text.split(WITHHELD)).toHaveLength(3);
    const [pid = 0, ...others] = serversWith('SERVICE_URL_FILE');
    expect(others).toEqual([]);
    const encoded = encodeURIComponent(ARCHIVE_SECRET);
    const visible = readFileSync(`/proc/${pid}/environ`, 'latin1') + (commandLines().get(pid) ?? '');
    expect(visible).toContain('/dev/fd/3');
    expect(visible).not.toContain(ARCHIVE_SECRET);
    expect(visible).not.toContain(encoded);

    await work.end();
    expect(await work.leases('archive')).toMatchObject([{ state: 'lapsing', endReason: 'revoked' }]);
    await until(() => !isAlive(pid), 'its process is gone');
  });
});

it('L1 L4 what was alive at a kill −9 is revoked by the next start, from its row and the handle that is sealed there', async () => {
  const work = await startWork();
  await work.call('cache', 'look', 'orders:1');
  await work.call('crm', 'look', 'contacts/42');
  const token = tokenOf(crm);
  const [login] = await work.leases('cache');
  gateway.child.kill('SIGKILL');
  await gateway.exited;
  outputs.push(gateway.stdout(), gateway.stderr());
  expect([...redis.users.keys()]).toContain(login?.tag);
  expect(await foreign.introspect(token)).toMatchObject({ active: true });

  gateway = await startUp(estate.config);
  expect(gateway.ready).toMatchObject({ tools: 10, problems: [] });
  await until(() => !redis.users.has(login?.tag ?? ''), 'the login is gone');
  await until(async () => !(await foreign.introspect(token)).active, 'the token is revoked');
  // The task outlives the restart, and goes on with others.
  expect((await work.call('crm', 'look', 'contacts/42')).isError).toBe(false);
  expect(tokenOf(crm)).not.toBe(token);
  await work.end();
});

it('L6 nothing that was told or written held a credential', async () => {
  const tokens = [ledger, crm, deals].flatMap(({ calls }) => calls.map((call) => call.token));
  expect(tokens.length).toBeGreaterThan(8);
  expect(logins.length).toBeGreaterThan(0);
  const fixed = [ARCHIVE_SECRET, encodeURIComponent(ARCHIVE_SECRET), CLIENT_SECRET, redis.password];
  const folder = join(estate.folder, '.remit');
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const places = new Map(files.map((file) => [file, readFileSync(file, 'latin1')]));
  expect(places.size).toBeGreaterThan(3);
  places.set('told', told.join('\n')).set('output', [...outputs, gateway.stdout(), gateway.stderr()].join('\n'));
  expect(places.get('told')).toContain('two lamps');
  const found = [...places].flatMap(([place, text]) =>
    [...tokens, ...logins, ...fixed].filter((secret) => text.includes(secret)).map(() => place),
  );
  expect(found).toEqual([]);
});
