import { randomBytes } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Client } from '@modelcontextprotocol/client';
import { createRemoteJWKSet } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSystem } from '../../src/compose/system.ts';
import { openWorkspace } from '../../src/compose/workspace.ts';
import type { Lease } from '../../src/domain/lease.ts';
import { endAll, run, runJson, startUp, type Up, until } from '../cli/remit.ts';
import { type FakeBearerServer, startFakeBearerServer } from '../support/fake-bearer-server.ts';
import { type FakeCompanyIdp, startFakeCompanyIdp } from '../support/fake-company-idp.ts';
import { type FakeGithub, startFakeGithub } from '../support/fake-github.ts';
import { type FakeIdJagServers, startFakeIdJagServers } from '../support/fake-id-jag-servers.ts';
import { type FakeOauthServer, startFakeOauthServer } from '../support/fake-oauth-server.ts';
import { connectTo, type Estate, findPort, makeClient, makeEstate } from '../support/whole-gateway.ts';

/**
 * One whole gateway, a process of its own, whose connectors take tokens of others: refreshed from what an owner stored (`notes`), of a GitHub App
 * (`code`), and on a user's behalf through an identity provider (`deals`). It is stopped, killed and reaped beside.
 */
const CLIENT_SECRET = `client_${randomBytes(20).toString('hex')}`;
const TTL_SECONDS = 10;

let oauth: FakeOauthServer;
let github: FakeGithub;
let trust: FakeIdJagServers;
let idp: FakeCompanyIdp;
let servers: Readonly<Record<'notes' | 'code' | 'deals', FakeBearerServer>>;
let estate: Estate;
let gateway: Up;
const told: string[] = [];

function demand(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}

beforeAll(async () => {
  const port = await findPort();
  const origin = `http://127.0.0.1:${port}`;
  oauth = await startFakeOauthServer();
  github = await startFakeGithub();
  idp = await startFakeCompanyIdp({
    users: [{ sub: 'ada', email: 'ada@shop.example', groups: [] }],
    audience: 'remit',
  });
  trust = await startFakeIdJagServers({
    clientSecret: CLIENT_SECRET,
    assertionKeys: createRemoteJWKSet(new URL(`${origin}/oauth/jwks`), { cooldownDuration: 0 }),
    gateway: origin,
    users: { ada: ['deals.read', 'deals.write'] },
    resource: 'https://deals.example.com/mcp',
  });
  servers = {
    notes: await startFakeBearerServer('notes', async (token) => {
      demand(oauth.scopesOf(token)?.join() === 'notes.read', 'not a live token for notes.read');
    }),
    code: await startFakeBearerServer('code', async (token, tool) => {
      const { repositories, permissions } = github.opens(token) ?? {};
      demand(permissions !== undefined, 'not active');
      demand(tool === undefined || repositories?.join() === 'api', `for ${repositories}`);
      demand(tool === undefined || permissions?.contents === 'read', 'may not read');
    }),
    deals: await startFakeBearerServer('deals', async (token, tool) => {
      const { active, scope } = await trust.introspect(token);
      demand(active, 'not active');
      demand(tool === undefined || scope === 'deals.read', `the scope is ${scope}`);
    }),
  };
  estate = await makeEstate({
    port,
    secrets: {
      notes_client: 'canary-by-hand-secret-5512',
      notes_refresh: oauth.mintRefreshToken('notes.read notes.write'),
      github_key: github.privateKey,
      idp_client: CLIENT_SECRET,
      deals_client: `${CLIENT_SECRET}`,
    },
    yaml: () => yaml(),
  });
  await writeFile(join(estate.folder, 'user.jwt'), await idp.signInAs('ada'), { mode: 0o600 });
  gateway = await startUp(estate.config);
});

afterAll(async () => {
  gateway?.child.kill('SIGCONT');
  await gateway?.stop();
  await endAll();
  await Promise.all([oauth?.close(), github?.close(), trust?.close(), idp?.close()]);
  for (const server of Object.values(servers ?? {})) await server.close();
});

const yaml = (): string => `identityProviders:
  - { issuer: "${idp.issuer}", audience: remit, jwksUri: "${idp.jwksUri}" }
sharedSecrets:
  - secrets: [idp_client, deals_client]
    connectors: [deals]
    owner: dana@shop.example
    reason: both fakes take the same
    expires: "2099-01-01T00:00:00Z"
connectors:
  notes:
    owner: dana@shop.example
    transport: { http: { url: "${servers.notes.url}" } }
    credential:
      ttlSeconds: 60
      oauthRefresh:
        server: "${oauth.issuer}"
        clientId: by-hand
        clientSecret: notes_client
        refreshToken: notes_refresh
        scopes: { read: [notes.read], write: [notes.read, notes.write] }
        introspected: true
    tools: ${TOOLS}
  code:
    owner: dana@shop.example
    transport: { http: { url: "${servers.code.url}" } }
    credential:
      ttlSeconds: ${TTL_SECONDS}
      githubApp:
        api: "${github.url}"
        appId: ${github.appId}
        installationId: ${github.installationId}
        account: shop
        privateKey: github_key
        permissions: { read: { contents: read } }
    tools: ${TOOLS}
  deals:
    owner: dana@shop.example
    transport: { http: { url: "${servers.deals.url}" } }
    credential:
      ttlSeconds: 60
      idJag:
        idp: { server: "${trust.idp}", clientId: remit, clientSecret: idp_client }
        server: "${trust.server}"
        clientId: ${trust.clientId}
        clientSecret: deals_client
        resource: "https://deals.example.com/mcp"
        scopes: { read: [deals.read], write: [deals.write] }
        introspected: true
    tools: ${TOOLS}
templates:
  work:
    owner: dana@shop.example
    purpose: look things up
    agents: [scribe]
    classes: [read]
    tools: [notes/look, code/look, deals/look]
    resources: ["code:shop/api"]
`;
const TOOLS =
  '{ look: { class: read, approvedBy: dana@shop.example }, tell: { class: read, approvedBy: dana@shop.example } }';

interface Work {
  readonly task: string;
  call(connector: string): Promise<string>;
  leases(connector: string): Promise<Lease[]>;
  end(): Promise<void>;
}

/** A task of its own, in Ada's name. */
async function startWork(): Promise<Work> {
  const at = ['--config', estate.config];
  const user = ['--user-token-file', join(estate.folder, 'user.jwt')];
  const started = ['task', 'start', '--agent', 'scribe', '--template', 'work', ...user, ...at];
  const { task, access_token: token } = await runJson<{ task: string; access_token: string }>(started);
  const client: Client = await connectTo(makeClient('modern'), gateway, token);
  return {
    task,
    async call(connector) {
      const reply = await client.callTool({ name: `${connector}__look`, arguments: { id: '7' } }).then(
        ({ content }) => (content as { text?: string }[])[0]?.text ?? '',
        (error: Error) => String(error),
      );
      told.push(reply);
      return reply;
    },
    async leases(connector) {
      const rows = await leaseRows();
      return rows.filter((row) => row.task === task && row.connector === connector);
    },
    async end() {
      const { code, stderr } = await run(['task', 'end', task, ...at]);
      expect(code, stderr).toBe(0);
      await client.close();
    },
  };
}

const tokenOf = (server: FakeBearerServer): string => server.calls.at(-1)?.token ?? expect.unreachable();
const reap = () => run(['reap', '--config', estate.config]);
/** Read beside the gateway: a command would ask it, and it may be stopped. */
async function leaseRows(): Promise<Lease[]> {
  const { store, estate: of, close } = await openWorkspace(estate.config, createSystem({ log: 'silent' }));
  const rows = await store.leases.list(of.tenant, {});
  await close();
  return rows;
}
const findingsOf = async (kind: string): Promise<unknown[]> => {
  const { stdout } = await run(['findings', '--json', '--config', estate.config]);
  const findings = JSON.parse(stdout) as { kind: string }[];
  return findings.filter((finding) => finding.kind === kind);
};

it('every connector is listed at the start', () => {
  expect(gateway.ready).toMatchObject({ tools: 6, problems: [] });
});

it('L4 each is made for its task, narrowed, and refused at its next use once the task ended', async () => {
  const work = await startWork();
  for (const [connector, downstream, scope] of [
    ['notes', `${oauth.issuer} as by-hand`, `notes.read at ${oauth.issuer}`],
    ['code', `${github.url} installation 4711`, 'contents:read on shop/api'],
    ['deals', `${trust.server} as ${trust.clientId}`, 'deals.read at https://deals.example.com/mcp'],
  ] as const) {
    expect(await work.call(connector)).toBe(`${connector} has 7`);
    const [active] = await work.leases(connector);
    expect(active).toMatchObject({ state: 'active', downstream, scope, revocation: 'next_use' });
  }
  expect(trust.grants.at(-1)).toMatchObject({ sub: 'ada', act: { sub: 'scribe' }, scope: 'deals.read' });
  const [notes, code, deals] = [tokenOf(servers.notes), tokenOf(servers.code), tokenOf(servers.deals)];
  await work.end();
  expect(oauth.admits(notes)).toBe(false);
  expect(github.opens(code)).toBeUndefined();
  expect(await trust.introspect(deals)).toEqual({ active: false });
  for (const connector of ['notes', 'code', 'deals']) {
    expect((await work.leases(connector)).at(-1)).toMatchObject({ state: 'ended' });
  }
});

describe('beside a gateway', () => {
  it('L4 that lives, `remit reap` does no harm', async () => {
    const work = await startWork();
    await work.call('notes');
    const token = tokenOf(servers.notes);
    for (let round = 0; round < 3; round++) {
      const { code, stderr } = await reap();
      expect(code, stderr).toBe(0);
    }
    expect(oauth.admits(token)).toBe(true);
    expect(await work.call('notes')).toBe('notes has 7');
    expect(tokenOf(servers.notes)).toBe(token);
    expect(await work.leases('notes')).toMatchObject([{ state: 'active' }]);
    await work.end();
  });

  it('L3 that is stopped, `remit reap` ends what is over, and the gateway that goes on takes no harm of it', async () => {
    const work = await startWork();
    await work.call('code');
    const token = tokenOf(servers.code);
    const [active] = await work.leases('code');
    gateway.child.kill('SIGSTOP');
    try {
      expect(github.opens(token)).toBeDefined();
      // Not before its time; on a busy machine that may be over when the reaper comes to look.
      expect((await reap()).code).toBe(0);
      if (Date.now() < (active?.expiresAt ?? 0)) expect(github.opens(token)).toBeDefined();
      await until(async () => {
        await reap();
        return github.opens(token) === undefined;
      }, 'the reaper has revoked it');
      expect(Date.now()).toBeGreaterThanOrEqual(active?.expiresAt ?? 0);
    } finally {
      gateway.child.kill('SIGCONT');
    }
    const over = await until(async () => {
      const lease = (await work.leases('code')).find(({ id }) => id === active?.id);
      return lease?.state === 'ended' && lease;
    }, 'its lease is over');
    expect(over.endReason).not.toBe('failed');
    expect(await work.call('code')).toBe('code has 7');
    expect(tokenOf(servers.code)).not.toBe(token);
    await work.end();
  });

  it('L5 that is stopped past its claim in the middle of an issue, the row is another’s: what comes late is revoked and used by nobody', async () => {
    const work = await startWork();
    const live = oauth.liveTokens();
    const served = servers.notes.calls.length;
    let answer = (): void => {};
    oauth.misdeeds.holdToken = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const asked = oauth.tokenRequests.length;
    const call = work.call('notes');
    await until(() => oauth.tokenRequests.length > asked, 'the server was asked');
    gateway.child.kill('SIGSTOP');
    delete oauth.misdeeds.holdToken;
    answer();
    try {
      await until(
        async () => {
          await reap();
          // What it could not revoke, for want of a handle, it leaves to lapse.
          return (await work.leases('notes')).every(({ state }) => state === 'lapsing');
        },
        'the reaper has taken it over',
        60_000,
      );
    } finally {
      gateway.child.kill('SIGCONT');
    }
    const text = await call;
    expect(text).not.toContain('notes has');
    expect(servers.notes.calls.length).toBe(served);
    await until(() => oauth.liveTokens() <= live, 'the late token is revoked');
    // Without its handle nobody can say that it was revoked; it is said to lapse.
    expect((await work.leases('notes')).every(({ state }) => state === 'lapsing' || state === 'ended')).toBe(true);
    // What came with it is the only refresh token that is still good, and was kept.
    expect(await work.call('notes')).toBe('notes has 7');
    await work.end();
  });
});

it('L5 what was alive at a kill −9 is revoked by the next start, and refreshing goes on where it was', async () => {
  const work = await startWork();
  for (const connector of ['notes', 'code', 'deals']) await work.call(connector);
  const [notes, code, deals] = [tokenOf(servers.notes), tokenOf(servers.code), tokenOf(servers.deals)];
  gateway.child.kill('SIGKILL');
  await gateway.exited;
  told.push(gateway.stdout(), gateway.stderr());
  expect([oauth.admits(notes), github.opens(code) !== undefined]).toEqual([true, true]);
  gateway = await startUp(estate.config);
  expect(gateway.ready).toMatchObject({ tools: 6, problems: [] });
  await until(() => !oauth.admits(notes) && github.opens(code) === undefined, 'they are revoked');
  await until(async () => !(await trust.introspect(deals)).active, 'the user’s is, too');
  for (const connector of ['notes', 'code', 'deals']) expect(await work.call(connector)).toBe(`${connector} has 7`);
  await work.end();
});

it('tells the owner that a refresh token has ended, goes on with the others, and with the next one that is stored', async () => {
  expect(await findingsOf('authorization_ended')).toEqual([]);
  const work = await startWork();
  oauth.misdeeds.refuseToken = { status: 503, body: { error: 'temporarily_unavailable' } };
  expect(await work.call('notes')).not.toContain('notes has');
  expect(await findingsOf('authorization_ended')).toEqual([]);
  oauth.misdeeds.refuseToken = { status: 400, body: { error: 'invalid_grant' } };
  expect(await work.call('notes')).not.toContain('notes has');
  delete oauth.misdeeds.refuseToken;
  expect(await findingsOf('authorization_ended')).toMatchObject([{ severity: 'high', refs: ['connectors.notes'] }]);
  expect(await work.call('notes')).not.toContain('notes has');
  expect(await work.call('code')).toBe('code has 7');
  const put = ['secret', 'put', 'notes_refresh', '--config', estate.config];
  const { code, stderr } = await run(put, { input: oauth.mintRefreshToken('notes.read notes.write') });
  expect(code, stderr).toBe(0);
  expect(await work.call('notes')).toBe('notes has 7');
  expect(await findingsOf('authorization_ended')).toEqual([]);
  await work.end();
});

it('L6 nothing that was told or written held a token', async () => {
  const tokens = Object.values(servers).flatMap(({ calls }) => calls.map((call) => call.token));
  const refreshed = oauth.tokenRequests.flatMap(({ refresh_token: token }) => (token === undefined ? [] : [token]));
  expect(tokens.length).toBeGreaterThan(8);
  expect(refreshed.length).toBeGreaterThan(5);
  const folder = join(estate.folder, '.remit');
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const places = new Map<string, string>();
  for (const file of files) places.set(file, await readFile(file, 'latin1'));
  expect(places.size).toBeGreaterThan(3);
  places.set('told', told.join('\n')).set('output', gateway.stdout() + gateway.stderr());
  const secrets = [...tokens, ...refreshed, CLIENT_SECRET, 'canary-by-hand-secret-5512'];
  const found = [...places].filter(([, text]) => secrets.some((secret) => text.includes(secret)));
  expect(found.map(([place]) => place)).toEqual([]);
});
