import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createAuthorizer } from '../../../src/adapters/issuers/mcp-oauth/authorizer.ts';
import { createMcpOauthIssuer } from '../../../src/adapters/issuers/mcp-oauth/mcp-oauth-issuer.ts';
import type { McpOauthSetup } from '../../../src/adapters/issuers/mcp-oauth/setup.ts';
import { authorizationFindings } from '../../../src/compose/credentials/authorization-findings.ts';
import { oauthRefreshSetup } from '../../../src/compose/credentials/oauth-refresh-setup.ts';
import { removeSecret } from '../../../src/compose/credentials/stored-token-authorization.ts';
import { ensureVaultKey } from '../../../src/compose/credentials/vault-key.ts';
import { createSystem } from '../../../src/compose/system.ts';
import { openWorkspace, type Workspace } from '../../../src/compose/workspace.ts';
import { Secret } from '../../../src/domain/secret.ts';
import type { Issuer } from '../../../src/seams/issuer.ts';
import { issuerSuite, newLease, requestFor } from '../../suites/issuer-suite.ts';
import { type FakeOauthServer, startFakeOauthServer } from '../../support/fake-oauth-server.ts';

const PROCESS = fileURLToPath(new URL('../../support/refresh-process.ts', import.meta.url));
const CLIENT_SECRET = 'canary-by-hand-secret-5512';

/** A workspace on a real SQLite store whose connector `notes` refreshes from the secret `notes-refresh`, or from what is given in a browser. */
async function openNotes(server: FakeOauthServer, more: Readonly<Record<string, unknown>> = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'remit-refresh-'));
  const config = join(folder, 'remit.yaml');
  const write = (changes: Readonly<Record<string, unknown>> = {}) => {
    const oauthRefresh = {
      server: server.issuer,
      clientId: 'by-hand',
      clientSecret: 'notes-client',
      refreshToken: 'notes-refresh',
      scopes: { read: ['notes.read'], write: ['notes.read', 'notes.write'] },
      tokenSeconds: 60,
      introspected: true,
      ...more,
      ...changes,
    };
    const notes = { owner: 'dana', transport: { http: { url: server.url } }, credential: { oauthRefresh } };
    return writeFile(config, JSON.stringify({ version: 1, connectors: { notes } }));
  };
  await write();
  const system = createSystem({ log: 'silent' });
  let workspace = await openWorkspace(config, system);
  await ensureVaultKey(workspace.loaded);
  await workspace.vault.put('notes-client', new Secret(CLIENT_SECRET));
  const reopen = async (changes: Readonly<Record<string, unknown>> = {}) => {
    await workspace.close();
    await write(changes);
    workspace = await openWorkspace(config, system);
  };
  const setup = (changes: Partial<McpOauthSetup> = {}): McpOauthSetup => {
    const connector = [...workspace.estate.connectors.values()][0];
    const credential = connector?.config.credential?.oauthRefresh;
    if (connector === undefined || credential === undefined) return expect.unreachable();
    return { ...oauthRefreshSetup(workspace, {} as never, connector.id, credential), ...changes };
  };
  return {
    config,
    get workspace(): Workspace {
      return workspace;
    },
    setup,
    reopen,
    store: (token: string) => workspace.vault.put('notes-refresh', new Secret(token)),
    async close() {
      await workspace.close();
      await rm(folder, { recursive: true });
    },
  };
}

type Notes = Awaited<ReturnType<typeof openNotes>>;

issuerSuite('oauth-refresh, of a token that its owner stored', async () => {
  const server = await startFakeOauthServer();
  const notes = await openNotes(server);
  await notes.store(server.mintRefreshToken('notes.read notes.write'));
  const make = (changes: Partial<McpOauthSetup> = {}) => createMcpOauthIssuer(notes.setup(changes));
  const issuer = make();
  await issuer.issue({ ...requestFor(newLease(issuer), AbortSignal.timeout(10_000)), actionClasses: ['read'] });
  return {
    issuer,
    other: () => make(),
    clock: Date.now,
    resources: [],
    actionClasses: ['read'],
    canUse: async ({ token }) => server.admits(token?.reveal() ?? ''),
    exists: undefined,
    broken: [
      make({ fetch: () => Promise.reject(new Error('no way there')) }),
      make({ clientSecret: async () => new Secret('canary-wrong-client-31') }),
      make({ scopes: { classes: {}, resources: undefined } }),
    ],
    secrets: [CLIENT_SECRET, 'canary-wrong-client-31'],
    stop: async () => {
      await notes.close();
      await server.close();
    },
  };
});

describe('a lease of a refresh token that its owner stored', () => {
  let server: FakeOauthServer;
  let notes: Notes;
  let issuer: Issuer;
  const children: ChildProcess[] = [];
  beforeAll(async () => {
    server = await startFakeOauthServer();
  });
  beforeEach(async () => {
    notes = await openNotes(server);
    await notes.store(server.mintRefreshToken('notes.read notes.write'));
    issuer = createMcpOauthIssuer(notes.setup());
    server.tokenRequests.length = 0;
  });
  afterEach(async () => {
    for (const child of children.splice(0)) {
      if (child.exitCode === null && child.signalCode === null && child.kill('SIGKILL')) await once(child, 'exit');
    }
    await issuer.close();
    await notes.close();
    for (const name of Object.keys(server.misdeeds)) delete (server.misdeeds as Record<string, unknown>)[name];
  });
  afterAll(() => server.close());

  const ask = (of: Issuer = issuer, more: object = {}) =>
    of.issue({ ...requestFor(newLease(of), AbortSignal.timeout(10_000)), actionClasses: ['read'], ...more });
  const findings = () => authorizationFindings(notes.workspace);

  it('is narrowed to the classes of its task, asked of nobody but the server that is configured, and the rotated token is kept', async () => {
    const { fields, scope } = await ask();
    expect(scope).toBe(`notes.read at ${server.issuer}`);
    expect(server.scopesOf(fields.token?.reveal() ?? '')).toEqual(['notes.read']);
    const wide = await ask(issuer, { actionClasses: ['write'] });
    expect(server.scopesOf(wide.fields.token?.reveal() ?? '')).toEqual(['notes.read', 'notes.write']);
    expect(server.tokenRequests.map(({ scope: asked }) => asked)).toEqual(['notes.read', 'notes.read notes.write']);
    expect(server.tokenRequests.some(({ resource }) => resource !== undefined)).toBe(false);
    // Nothing of the connector's own was asked for.
    expect(server.asked.some((line) => line.endsWith('/mcp'))).toBe(false);
    // Another process finds what the server rotated it into, not what the owner stored.
    await notes.reopen();
    issuer = createMcpOauthIssuer(notes.setup());
    await expect(ask()).resolves.toBeDefined();
  });

  it('is not to be had of what the server grants beyond what was asked', async () => {
    server.misdeeds.token = { scope: 'notes.read notes.write' };
    const live = server.liveTokens();
    await expect(ask()).rejects.toMatchObject({
      code: 'ERR_CREDENTIAL_ISSUE',
      message: expect.stringContaining('"notes.write" was not asked for'),
    });
    expect(server.liveTokens()).toBe(live);
  });

  it('ends with it; its owner is told, and another one that is stored begins anew', async () => {
    await expect(findings()).resolves.toEqual([]);
    server.misdeeds.refuseToken = { status: 400, body: { error: 'invalid_grant' } };
    const over = {
      message: expect.stringContaining('no more'),
      hint: expect.stringContaining('remit secret put notes-refresh'),
    };
    await expect(ask()).rejects.toMatchObject(over);
    delete server.misdeeds.refuseToken;
    const before = server.tokenRequests.length;
    await expect(ask()).rejects.toMatchObject(over);
    expect(server.tokenRequests.length).toBe(before);
    await expect(findings()).resolves.toMatchObject([
      { severity: 'high', kind: 'authorization_ended', refs: ['connectors.notes'], owner: 'dana' },
    ]);
    await notes.store(server.mintRefreshToken('notes.read'));
    await expect(ask()).resolves.toBeDefined();
    await expect(findings()).resolves.toEqual([]);
    // One that was removed and stored again has version 1 again, and is another all the same.
    await notes.workspace.vault.remove('notes-refresh');
    await expect(ask()).rejects.toMatchObject({ code: 'ERR_SECRET_MISSING' });
    await notes.store(server.mintRefreshToken('notes.read'));
    server.tokenRequests.length = 0;
    await expect(ask()).resolves.toBeDefined();
    expect(server.tokenRequests).toHaveLength(1);
  });

  it('goes with its secret, and what it was rotated into as well', async () => {
    await ask();
    const { vault } = notes.workspace;
    const names = async () => (await vault.list()).map(({ name }) => name).toSorted();
    expect(await names()).toEqual(['notes-client', 'notes-refresh', 'remit-refresh:notes-refresh']);
    expect(await removeSecret(vault, 'notes-refresh')).toBe(true);
    expect(await names()).toEqual(['notes-client']);
    expect(await removeSecret(vault, 'notes-refresh')).toBe(false);
  });

  it('is never shown to a server that it was not stored for', async () => {
    await ask();
    const other = await startFakeOauthServer();
    await notes.reopen({ server: other.issuer });
    issuer = createMcpOauthIssuer(notes.setup());
    await expect(ask()).rejects.toMatchObject({ message: expect.stringContaining(`belongs to ${server.issuer}`) });
    expect(other.tokenRequests).toEqual([]);
    await expect(findings()).resolves.toMatchObject([{ kind: 'authorization_elsewhere' }]);
    await other.close();
  });

  it('may be of what its owner gives in a browser, at the server that is configured, for a connector that says nothing of itself', async () => {
    await notes.reopen({ refreshToken: undefined });
    const setup = notes.setup();
    issuer = createMcpOauthIssuer(setup);
    await expect(ask()).rejects.toMatchObject({ hint: expect.stringContaining('remit connector authorize notes') });
    const callback = 'http://127.0.0.1:4321/oauth/connector/callback';
    const authorizer = createAuthorizer({ ...setup, callback, documentUrl: undefined });
    const begun = await authorizer.begin([], 'dana');
    expect(new URL(begun.url).searchParams.get('scope')).toBe('notes.read notes.write');
    expect(new URL(begun.url).searchParams.has('resource')).toBe(false);
    const facts = await authorizer.complete(begun, await server.open(begun.url), async () => {});
    expect(facts).toMatchObject({ issuer: server.issuer, client: 'by-hand', registration: 'configured' });
    expect(server.registrations).toEqual([]);
    const { fields } = await ask();
    expect(server.scopesOf(fields.token?.reveal() ?? '')).toEqual(['notes.read']);
  });

  it('stays over once it was taken away', async () => {
    await ask();
    const { store } = notes.setup();
    const row = await store.read();
    if (row === undefined) return expect.unreachable();
    await store.write({ ...row.authorization, ended: { at: Date.now(), reason: 'taken_away' } }, row.version);
    await store.remove();
    await expect(ask()).rejects.toMatchObject({ message: expect.stringContaining('no more') });
  });

  describe('of several processes on one store', () => {
    interface Said {
      readonly said?: string;
      readonly token?: string;
      readonly refused?: string;
      readonly hint?: string;
    }

    async function start(claimMs = 20_000) {
      const child = spawn(process.execPath, ['--import', 'tsx', PROCESS, notes.config, 'notes', String(claimMs)], {
        stdio: ['pipe', 'pipe', 'inherit'],
      });
      children.push(child);
      const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
      const next = async (): Promise<Said> => JSON.parse((await lines.next()).value as string) as Said;
      await expect(next()).resolves.toEqual({ said: 'ready' });
      return { child, ask: () => void child.stdin.write('read\n'), next };
    }

    it('L4 exactly one refreshes at a time: each rotated token is sent once, and the others take what it became', async () => {
      const all = await Promise.all([start(), start(), start()]);
      const EACH = 4;
      for (let count = 0; count < EACH; count++) for (const one of all) one.ask();
      const said = await Promise.all(
        all.map(async ({ next }) => {
          const answers: Said[] = [];
          while (answers.length < EACH) answers.push(await next());
          return answers;
        }),
      );
      expect(said.flat().filter(({ refused }) => refused !== undefined)).toEqual([]);
      expect(new Set(said.flat().map(({ token }) => token)).size).toBe(all.length * EACH);
      const sent = server.tokenRequests.map(({ refresh_token: token }) => token);
      expect(sent).toHaveLength(all.length * EACH);
      expect(new Set(sent).size).toBe(sent.length);
      expect((await notes.setup().store.read())?.authorization).toMatchObject({
        claim: undefined,
        unanswered: undefined,
      });
    }, 60_000);

    it.each([
      ['within the server’s grace its successor goes on', true],
      ['without a grace its owner is told what was lost', false],
    ])(
      'L5 killed between the server’s answer and its own row: %s',
      async (_name, hasGrace) => {
        const { child, ask: askChild } = await start(300);
        server.misdeeds.hasGrace = hasGrace;
        let answer = (): void => {};
        server.misdeeds.holdToken = new Promise<void>((resolve) => {
          answer = resolve;
        });
        askChild();
        await expect.poll(() => server.tokenRequests.length, { timeout: 10_000 }).toBe(1);
        child.kill('SIGKILL');
        await once(child, 'exit');
        answer();
        delete server.misdeeds.holdToken;
        const successor = await start(300);
        successor.ask();
        const said = await successor.next();
        if (hasGrace) {
          expect(said).toMatchObject({ token: expect.any(String) });
          await expect(findings()).resolves.toEqual([]);
        } else {
          expect(said).toMatchObject({
            refused: expect.stringContaining('no more'),
            hint: expect.stringContaining('was lost on the way'),
          });
          await expect(findings()).resolves.toMatchObject([{ kind: 'authorization_ended' }]);
        }
      },
      60_000,
    );

    it('L5 killed while it waited for another, which is gone too: nothing is lost', async () => {
      const { child, ask: askChild } = await start(300);
      const { store } = notes.setup();
      const row = await store.read();
      if (row === undefined) return expect.unreachable();
      const left = { by: 'a process that is gone', until: Date.now() + 60_000 };
      await store.write({ ...row.authorization, claim: left }, row.version);
      askChild();
      child.kill('SIGKILL');
      await once(child, 'exit');
      await expect(findings()).resolves.toEqual([]);
      const claimed = await store.read();
      if (claimed === undefined) return expect.unreachable();
      await store.write({ ...claimed.authorization, claim: { ...left, until: Date.now() - 1 } }, claimed.version);
      await expect(ask()).resolves.toBeDefined();
      expect(server.tokenRequests).toHaveLength(1);
    }, 60_000);
  });
});
