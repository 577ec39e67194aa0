import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createConnectorTokens } from '../../src/compose/credentials/connector-tokens.ts';
import { buildIssuers } from '../../src/compose/credentials/issuers.ts';
import { createHandleSealer } from '../../src/compose/credentials/lease-parts.ts';
import { reapLeases } from '../../src/compose/credentials/reap-leases.ts';
import { ensureVaultKey } from '../../src/compose/credentials/vault-key.ts';
import { createSystem } from '../../src/compose/system.ts';
import { openWorkspace, type Workspace } from '../../src/compose/workspace.ts';
import { connectorId } from '../../src/domain/ids.ts';
import type { Lease } from '../../src/domain/lease.ts';
import { Secret } from '../../src/domain/secret.ts';
import { newLease, requestFor } from '../suites/issuer-suite.ts';
import { type FakeGithub, startFakeGithub } from '../support/fake-github.ts';
import { type FakeOauthServer, startFakeOauthServer } from '../support/fake-oauth-server.ts';

/** Fault 6: a lease outlives the section of the configuration that it was issued under. What ends it is its row. */
describe('a connector that was taken out of the configuration before its leases ended', () => {
  let github: FakeGithub;
  let oauth: FakeOauthServer;
  let folder: string;
  let config: string;
  let workspace: Workspace;
  const system = createSystem({ log: 'silent' });
  beforeAll(async () => {
    github = await startFakeGithub();
    oauth = await startFakeOauthServer();
  });
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'remit-removed-'));
    config = join(folder, 'remit.yaml');
    await write({});
    workspace = await openWorkspace(config, system);
    await ensureVaultKey(workspace.loaded);
    await workspace.vault.put('github', new Secret(github.privateKey));
    await workspace.vault.put('client', new Secret('canary-by-hand-secret-5512'));
    await workspace.vault.put('refresh', new Secret(oauth.mintRefreshToken('notes.read')));
    await workspace.vault.put('other', new Secret(oauth.mintRefreshToken('notes.read')));
  });
  afterEach(async () => {
    await workspace.close();
    await rm(folder, { recursive: true });
  });
  afterAll(async () => {
    await github.close();
    await oauth.close();
  });

  const sections = {
    github: (at = github) => ({
      githubApp: {
        api: at.url,
        appId: at.appId,
        installationId: at.installationId,
        account: 'shop',
        privateKey: 'github',
        permissions: { read: { contents: 'read' } },
      },
    }),
    oauth: (more: object = {}) => ({
      oauthRefresh: {
        server: oauth.issuer,
        clientId: 'by-hand',
        clientSecret: 'client',
        refreshToken: 'refresh',
        scopes: { read: ['notes.read'] },
        tokenSeconds: 60,
        introspected: true,
        ...more,
      },
    }),
  };

  function write(credentials: Readonly<Record<string, object>>): Promise<void> {
    const transport = { http: { url: 'http://127.0.0.1:9/mcp' } };
    const connectors = Object.entries(credentials).map(([id, credential]) => [
      id,
      { owner: 'dana', transport, credential },
    ]);
    return writeFile(config, JSON.stringify({ version: 1, connectors: Object.fromEntries(connectors) }));
  }

  /** As a gateway that starts anew. */
  async function configure(credentials: Readonly<Record<string, object>>): Promise<void> {
    await workspace.close();
    await write(credentials);
    workspace = await openWorkspace(config, system);
  }

  /** A lease that a gateway made, sealed its handle of, and did not come back to. */
  async function leave(connector: string): Promise<{ lease: Lease; token: string }> {
    const issuers = await buildIssuers(workspace, createConnectorTokens(workspace));
    const issuer = issuers.get(connectorId(connector))?.issuer ?? expect.unreachable();
    const resources = connector === 'code' ? ['shop/api'] : [];
    const made = newLease(issuer);
    const request = requestFor(made, AbortSignal.timeout(10_000));
    const { handle, fields, nativeExpiresAt } = await issuer.issue({ ...request, resources, actionClasses: ['read'] });
    const lease: Lease = {
      ...made,
      connector: connectorId(connector),
      tenant: workspace.estate.tenant,
      revocation: issuer.revocation,
      downstream: issuer.downstream,
      nativeExpiresAt,
      // No issue of it can be under way any more.
      issueDeadline: Date.now() - 60_000,
      claimedBy: 'a gateway that is gone',
    };
    await workspace.store.leases.insert(lease);
    const sealed = await createHandleSealer(workspace.vault).seal(lease.id, handle ?? expect.unreachable());
    await workspace.store.leases.update(lease, ['intended'], { state: 'active', handle: sealed, nativeExpiresAt });
    await Promise.all([...issuers.values()].map((one) => one.issuer.close()));
    return { lease, token: fields.token?.reveal() ?? '' };
  }

  const rowOf = ({ id }: Lease) => workspace.store.leases.get(workspace.estate.tenant, id);

  it('L4 is ended by an issuer for the same downstream, whichever connector has it by now', async () => {
    await configure({ code: sections.github() });
    const { lease, token } = await leave('code');
    await configure({ code_again: sections.github() });
    expect(await reapLeases(workspace, false)).toMatchObject({ revoked: 1, failed: 0 });
    expect(github.opens(token)).toBeUndefined();
    expect(await rowOf(lease)).toMatchObject({ state: 'ended' });
  });

  it('L4 is ended where its connector opens another downstream by now, and one more the one it was for', async () => {
    await configure({ code: sections.github() });
    const { token } = await leave('code');
    // A server that does not know the token says that it is gone.
    const elsewhere = await startFakeGithub();
    await configure({ code: sections.github(elsewhere), older: sections.github() });
    expect(await reapLeases(workspace, false)).toMatchObject({ revoked: 1, failed: 0 });
    expect(github.opens(token)).toBeUndefined();
    expect(elsewhere.asked).toEqual([]);
    await elsewhere.close();
  });

  it('L4 is kept as not revoked where nothing opens its downstream any more, and ended once something does', async () => {
    await configure({ code: sections.github() });
    const { lease, token } = await leave('code');
    await configure({ code: sections.oauth() });
    expect(await reapLeases(workspace, false)).toMatchObject({ revoked: 0, failed: 1 });
    expect(github.opens(token)).toBeDefined();
    expect(await rowOf(lease)).toMatchObject({
      state: 'revoking',
      lastError: expect.stringContaining('has no github_app issuer any more'),
    });
    await configure({ code: sections.github() });
    expect(await reapLeases(workspace, true)).toMatchObject({ revoked: 1, failed: 0 });
    expect(github.opens(token)).toBeUndefined();
  });

  it('L4 is not taken for revoked by the word of another client of the same authorization server', async () => {
    await configure({ notes: sections.oauth() });
    const { lease, token } = await leave('notes');
    await configure({
      others: sections.oauth({
        clientId: 'https://other.example/client',
        clientMethod: 'none',
        clientSecret: undefined,
        refreshToken: 'other',
      }),
    });
    expect(await reapLeases(workspace, false)).toMatchObject({ revoked: 0, failed: 1 });
    expect(oauth.admits(token)).toBe(true);
    expect((await rowOf(lease))?.state).toBe('revoking');
    await configure({ renamed: sections.oauth() });
    expect(await reapLeases(workspace, true)).toMatchObject({ revoked: 1, failed: 0 });
    expect(oauth.admits(token)).toBe(false);
  });
});
