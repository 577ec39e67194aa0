import type { OutboundScenario } from './outbound-plan.ts';
import type { Revision } from './suite.ts';

/** How a connector's credential comes about, and what the scenario wants to come of it. */
export interface AuthPlan {
  readonly credential: 'mcpOauth' | 'client_credentials';
  /** `call`: the agent gets its answer. `refusal`: Remit must not go on. */
  readonly expected: 'call' | 'refusal';
  readonly settings?: Readonly<Record<string, unknown>>;
}

const BOTH: readonly Revision[] = ['2025-11-25', '2026-07-28'];
const MODERN: readonly Revision[] = ['2026-07-28'];
/** What the suite's own client uses as its id; nothing is fetched from there. */
const DOCUMENT = 'https://conformance-test.local/client-metadata.json';

function scenario(name: string, revisions: readonly Revision[], more: Partial<AuthPlan> = {}): OutboundScenario {
  const auth: AuthPlan = { credential: 'mcpOauth', expected: 'call', ...more };
  return { scenario: `auth/${name}`, revisions, items: { tools: ['test-tool'] }, auth };
}

const refused = { expected: 'refusal' } as const;

/** Scenarios in which the connector's server wants OAuth. */
export const AUTH: readonly OutboundScenario[] = [
  scenario('metadata-default', BOTH),
  scenario('metadata-var1', BOTH),
  scenario('metadata-var2', BOTH),
  scenario('metadata-var3', BOTH),
  scenario('basic-cimd', BOTH, { settings: { clientMetadataUrl: DOCUMENT } }),
  scenario('scope-from-www-authenticate', BOTH),
  scenario('scope-from-scopes-supported', BOTH),
  scenario('scope-omitted-when-undefined', BOTH),
  scenario('scope-step-up', BOTH),
  scenario('scope-retry-limit', BOTH, refused),
  scenario('token-endpoint-auth-basic', BOTH),
  scenario('token-endpoint-auth-post', BOTH),
  scenario('token-endpoint-auth-none', BOTH),
  scenario('pre-registration', BOTH),
  scenario('resource-mismatch', MODERN, refused),
  scenario('offline-access-scope', MODERN),
  scenario('offline-access-not-supported', MODERN),
  scenario('authorization-server-migration', MODERN),
  scenario('iss-supported', MODERN),
  scenario('iss-not-advertised', MODERN),
  scenario('iss-supported-missing', MODERN, refused),
  scenario('iss-wrong-issuer', MODERN, refused),
  scenario('iss-unexpected', MODERN, refused),
  scenario('iss-normalized', MODERN, refused),
  scenario('metadata-issuer-mismatch', MODERN, refused),
  scenario('client-credentials-basic', BOTH, { credential: 'client_credentials' }),
  scenario('client-credentials-jwt', BOTH, { credential: 'client_credentials' }),
];

interface AuthContext {
  readonly client_id?: string;
  readonly client_secret?: string;
  readonly private_key_pem?: string;
}

const SECRET = 'suite-secret';

/** A connector's `credential`, as its owner would write it, and what goes into the vault for it. */
export async function credentialFor(
  { credential, settings }: AuthPlan,
  serverUrl: string,
  context: AuthContext,
): Promise<{ credential: object; secrets: Readonly<Record<string, string>> }> {
  const { client_id: clientId, client_secret: secret, private_key_pem: key } = context;
  const given = secret ?? key;
  const secrets = given === undefined ? {} : { [SECRET]: given };
  const client = {
    ...(clientId !== undefined && { clientId }),
    ...(secret !== undefined && { clientSecret: SECRET }),
    ...(key !== undefined && { clientKey: SECRET }),
  };
  if (credential === 'mcpOauth') {
    // The suite's servers give no refresh token, and one access token of an hour.
    const expires = new Date(Date.now() + 86_400_000).toISOString();
    const sharedToken = { owner: 'conformance@example.com', reason: 'the suite gives no refresh token', expires };
    return { credential: { mcpOauth: { sharedToken, ...client, ...settings } }, secrets };
  }
  const server = await serverOf(serverUrl);
  const oauth = {
    server,
    grant: 'client_credentials',
    scopes: { read: ['mcp:basic'] },
    tokenSeconds: 3600,
    resource: serverUrl,
    ...client,
  };
  return { credential: { oauth }, secrets };
}

/** With client credentials there is no discovery: the owner looks up which server it is. */
async function serverOf(serverUrl: string): Promise<string> {
  const { origin, pathname } = new URL(serverUrl);
  const response = await fetch(`${origin}/.well-known/oauth-protected-resource${pathname}`);
  const { authorization_servers: servers } = (await response.json()) as { authorization_servers: string[] };
  return servers[0] ?? '';
}
