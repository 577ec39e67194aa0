import { randomBytes } from 'node:crypto';
import { generateKeyPair } from 'jose';
import type { AuthorizationStore, StoredAuthorization } from '../../../src/adapters/issuers/mcp-oauth/authorization.ts';
import { type AuthorizationFacts, createAuthorizer } from '../../../src/adapters/issuers/mcp-oauth/authorizer.ts';
import type { AuthorizerSetup } from '../../../src/adapters/issuers/mcp-oauth/setup.ts';
import { createGuardedFetch } from '../../../src/adapters/upstreams/guarded-fetch.ts';
import { RemitError } from '../../../src/domain/errors.ts';
import { type FakeOauthServer, startFakeOauthServer } from '../../support/fake-oauth-server.ts';

export const CALLBACK = 'http://127.0.0.1:4321/oauth/connector/callback';

export interface OauthWorld {
  readonly server: FakeOauthServer;
  readonly store: AuthorizationStore & { row: StoredAuthorization | undefined };
  setup(changes?: Partial<AuthorizerSetup>): AuthorizerSetup;
  /** The whole deed of an owner. */
  authorize(changes?: Partial<AuthorizerSetup>, wanted?: readonly string[]): Promise<AuthorizationFacts>;
  close(): Promise<void>;
}

export async function startOauthWorld(options: Parameters<typeof startFakeOauthServer>[0] = {}): Promise<OauthWorld> {
  const server = await startFakeOauthServer(options);
  const store = memoryStore();
  const guarded = createGuardedFetch({ hostname: '127.0.0.1', allowPrivateNetwork: false });
  const { privateKey } = await generateKeyPair('ES256');
  const setup = (changes: Partial<AuthorizerSetup> = {}): AuthorizerSetup => ({
    connector: 'notes',
    url: server.url,
    named: undefined,
    renewal: 'Its owner authorises anew.',
    server: undefined,
    clientId: undefined,
    clientSecret: undefined,
    clientKey: async () => ({ key: privateKey, kid: 'one' }),
    documentUrl: undefined,
    callback: CALLBACK,
    scopes: undefined,
    tokenSeconds: 60,
    isIntrospected: true,
    revokesTokens: true,
    sharedTokenUntil: undefined,
    store,
    fetch: guarded.fetch,
    clock: Date.now,
    schedule: (ms, task) => {
      const timer = setTimeout(task, ms);
      return () => clearTimeout(timer);
    },
    random: (bytes) => randomBytes(bytes),
    close: async () => {},
    ...changes,
  });
  return {
    server,
    store,
    setup,
    async authorize(changes = {}, wanted = []) {
      const authorizer = createAuthorizer(setup(changes));
      const pending = await authorizer.begin(wanted, 'dana');
      return authorizer.complete(pending, await server.open(pending.url), async () => {});
    },
    async close() {
      await guarded.close();
      await server.close();
    },
  };
}

/** The vault's compare-and-set, in memory. */
export function memoryStore(): OauthWorld['store'] {
  return {
    row: undefined,
    async read() {
      return this.row;
    },
    async write(authorization, after) {
      if ((this.row?.version ?? 0) !== after) throw new RemitError('ERR_STORE_LOCKED', 'changed meanwhile');
      this.row = { authorization, version: after + 1 };
      return after + 1;
    },
    async remove() {
      const wasThere = this.row !== undefined;
      this.row = undefined;
      return wasThere;
    },
  };
}
