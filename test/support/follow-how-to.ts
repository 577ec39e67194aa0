import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { ConnectorTokens } from '../../src/compose/credentials/connector-tokens.ts';
import { makeIssuer } from '../../src/compose/credentials/make-issuer.ts';
import { ensureVaultKey } from '../../src/compose/credentials/vault-key.ts';
import type { EstateConnector } from '../../src/compose/estate.ts';
import { createSystem } from '../../src/compose/system.ts';
import { openWorkspace } from '../../src/compose/workspace.ts';
import type { CredentialKind } from '../../src/config/credential-schema.ts';
import type { User } from '../../src/domain/principal.ts';
import { Secret } from '../../src/domain/secret.ts';
import type { ActionClass } from '../../src/domain/tool.ts';
import type { IssuedCredential, Issuer } from '../../src/seams/issuer.ts';
import { newLease, requestFor } from '../suites/issuer-suite.ts';

export interface Followed {
  readonly issuer: Issuer;
  readonly issued: IssuedCredential;
  /** A part of the credential; empty where there is none of that name. */
  field(name: string): string;
  revoke(): Promise<void>;
}

export interface FollowOptions {
  /** What of the block stands for something of the reader's own: addresses, names of accounts. Each text has to be there. */
  readonly edits: Readonly<Record<string, string>>;
  /** By the names that the page gives them. */
  readonly secrets?: Readonly<Record<string, string>>;
  readonly resources?: readonly string[];
  /** Default: read. */
  readonly classes?: readonly ActionClass[];
  readonly user?: User;
}

/** `docs/how-to/choose-an-issuer.md`, followed: its block in a `remit.yaml`, its secrets in the vault, a lease issued by it. */
export interface HowToChoose {
  /** The whole section about one kind. */
  sectionOf(kind: CredentialKind): string;
  follow(kind: CredentialKind, options: FollowOptions): Promise<Followed>;
  /** Kinds that a lease was issued of. */
  readonly followed: ReadonlySet<CredentialKind>;
  makeFolder(): Promise<string>;
  /** Ends it with the next `endAll`. */
  started<T extends { close(): unknown } | { stop(): unknown }>(server: T): T;
  endAll(): Promise<void>;
}

export async function openHowToChoose(
  tokens: Partial<Pick<ConnectorTokens, 'sign' | 'clientKey'>> = {},
): Promise<HowToChoose> {
  const page = await readFile(new URL('../../docs/how-to/choose-an-issuer.md', import.meta.url), 'utf8');
  const stops: (() => unknown)[] = [];
  const followed = new Set<CredentialKind>();

  const blockIn = (section: string): string => /```yaml\n(.*?)```/s.exec(section)?.[1] ?? '';

  function sectionOf(kind: CredentialKind): string {
    const isIts = (section: string): boolean => new RegExp(`\\b${kind}:( \\{|\\n)`).test(blockIn(section));
    return page.split(/^## /m).find(isIts) ?? expect.unreachable(`the page has no section about ${kind}`);
  }

  /** What the page's table says a revoke is worth. */
  const classOf = (kind: CredentialKind): string =>
    new RegExp(`^\\| \`${kind}\` \\|.*\\|(.*)\\|$`, 'm').exec(page)?.[1] ?? '';

  async function makeFolder(): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'remit-choose-'));
    stops.push(() => rm(folder, { recursive: true }));
    return folder;
  }

  function started<T extends { close(): unknown } | { stop(): unknown }>(server: T): T {
    stops.push(() => ('close' in server ? server.close() : server.stop()));
    return server;
  }

  return {
    sectionOf,
    followed,
    makeFolder,
    started,
    async follow(kind, { edits, secrets = {}, resources = [], classes = ['read'], user }) {
      let block = blockIn(sectionOf(kind));
      for (const [from, to] of Object.entries(edits)) {
        expect(block, `the block of ${kind}`).toContain(from);
        block = block.replace(from, to);
      }
      const config = join(await makeFolder(), 'remit.yaml');
      await writeFile(config, `version: 1\n${block}`);
      const workspace = started(await openWorkspace(config, createSystem({ log: 'silent' })));
      await ensureVaultKey(workspace.loaded);
      for (const [name, text] of Object.entries(secrets)) await workspace.vault.put(name, new Secret(text));
      const [connector] = workspace.estate.connectors.values() as unknown as [EstateConnector];
      const { credential } = connector.config;
      if (credential === undefined) return expect.unreachable('a block without a credential');
      const { issuer } = await makeIssuer(workspace, tokens as ConnectorTokens, connector, credential);
      started(issuer);
      const lease = newLease(issuer);
      const request = { ...requestFor(lease, AbortSignal.timeout(10_000)), resources, actionClasses: classes, user };
      const issued = await issuer.issue(request);
      expect(classOf(kind)).toContain(`\`${issuer.revocation}\``);
      followed.add(kind);
      return {
        issuer,
        issued,
        field: (name) => issued.fields[name]?.reveal() ?? '',
        revoke: () => issuer.revoke(lease, issued.handle),
      };
    },
    async endAll() {
      for (const stop of stops.splice(0).reverse()) await stop();
    },
  };
}
