import { randomBytes } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  type CryptoKey,
  calculateJwkThumbprint,
  exportJWK,
  generateKeyPair,
  type JWK,
  type JWTPayload,
  SignJWT,
} from 'jose';
import { createSubjectTokenVerifier } from '../../src/adapters/authn/subject-token-verifier.ts';
import { createTaskTokenAuthenticator } from '../../src/adapters/authn/task-token-authenticator.ts';
import { agentId, templateId, tenantId } from '../../src/domain/ids.ts';
import type { TaskTemplate } from '../../src/domain/task.ts';
import { createAuthorizationServer } from '../../src/http/authorization-server/authorization-server.ts';
import type { IssuedToken } from '../../src/http/authorization-server/grants.ts';
import type { RefusedRequest } from '../../src/http/authorization-server/provider.ts';
import { loadOrCreateSigningKeys } from '../../src/http/authorization-server/signing-keys.ts';
import { createTaskRegistry } from '../../src/tasks/create-task-registry.ts';
import { refuseTask } from '../../src/tasks/task-refusal.ts';
import { type FakeCompanyIdp, startFakeCompanyIdp } from '../support/fake-company-idp.ts';
import { createMemoryOAuth, createMemorySigningKeys, createMemoryTasks } from '../support/fake-memory-repositories.ts';

export const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
export const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';
const ASSERTION = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
export const IDP_AUDIENCE = 'https://remit.company.example';

const bounds = {
  actionClasses: ['read', 'ticket'],
  tools: ['crm/*'],
  resources: ['crm:customers'],
  calls: 20,
} as const;
const template = (id: string, over: Partial<TaskTemplate> = {}): TaskTemplate => ({
  id: templateId(id),
  owner: 'owner@example.com',
  purpose: 'Answer customers',
  agents: [agentId('support-bot')],
  bounds,
  maxDurationSeconds: 3600,
  requiresUser: false,
  ...over,
});

export interface AgentKey {
  readonly privateKey: CryptoKey;
  readonly publicJwk: JWK;
  readonly alg: 'ES256' | 'EdDSA';
}

export async function makeAgentKey(alg: AgentKey['alg'] = 'ES256'): Promise<AgentKey> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  return { privateKey, publicJwk: await exportJWK(publicKey), alg };
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown> & {
    readonly access_token?: string;
    readonly error?: string;
    readonly error_description?: string;
  };
}

export type Fixture = Awaited<ReturnType<typeof startFixture>>;

/** The authorization server over HTTP on an ephemeral port, with a task registry, an authenticator and a fake company. */
export async function startFixture() {
  const state = { skewMs: 0, subjectSkewMs: 0, isIdpReachable: true };
  const clock = (): number => Date.now() + state.skewMs;
  const logged: string[] = [];
  const write = (fields: object, message: string): void => void logged.push(`${message} ${JSON.stringify(fields)}`);
  const log = { debug: write, info: write, warn: write, error: write };

  const server: Server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const resource = `${issuer}/mcp`;

  const idp: FakeCompanyIdp = await startFakeCompanyIdp({
    users: [
      { sub: 'alice', email: 'alice@company.example', groups: ['support', 'staff'] },
      { sub: 'bob', email: 'bob@company.example', groups: [], mayAct: 'support-bot' },
      { sub: 'carol', email: 'carol@company.example', groups: [], mayAct: 'other-bot' },
    ],
    audience: IDP_AUDIENCE,
  });
  const otherIdp = await startFakeCompanyIdp({
    users: [{ sub: 'alice', email: 'alice@company.example', groups: ['support'] }],
    audience: 'https://payroll.company.example',
  });

  const keys = { supportBot: await makeAgentKey(), otherBot: await makeAgentKey('EdDSA') };
  const tasks = createMemoryTasks();
  const templates = new Map(
    [
      template('triage'),
      template('for-users', { requiresUser: true, children: { depth: 1, perTask: 2 } }),
      template('payroll', { agents: [agentId('payroll-bot')] }),
      template('shared', { agents: [agentId('support-bot'), agentId('other-bot')] }),
    ].map((one) => [one.id, one]),
  );
  const registry = createTaskRegistry({
    tenant: tenantId('default'),
    repository: tasks,
    templates: () => templates,
    clock,
    schedule(ms, task) {
      const timer = setTimeout(task, ms);
      return () => clearTimeout(timer);
    },
    random: randomBytes,
    log,
  });

  const signingRows = createMemorySigningKeys();
  const signingKeys = await loadOrCreateSigningKeys({
    repository: signingRows,
    seal: async (name, plaintext) => ({ keyId: name, envelope: Buffer.from(plaintext) }),
    open: async (_name, { envelope }) => Buffer.from(envelope),
    clock,
    log,
    tokenSeconds: 600,
  });
  const provider = { audience: IDP_AUDIENCE, groupsClaim: 'groups' };
  const verifier = createSubjectTokenVerifier({
    providers: [
      { ...provider, issuer: idp.issuer },
      { ...provider, issuer: otherIdp.issuer },
    ],
    fetch: (url, init) => (state.isIdpReachable ? fetch(url, init) : Promise.reject(new Error('connect ECONNREFUSED'))),
    clock: () => clock() + state.subjectSkewMs,
    log,
  });
  const oauth = createMemoryOAuth();
  const issued: IssuedToken[] = [];
  const refused: RefusedRequest[] = [];
  const authorizationServer = await createAuthorizationServer({
    issuer,
    resource,
    agents: [
      { id: agentId('support-bot'), jwks: { keys: [keys.supportBot.publicJwk] } },
      { id: agentId('other-bot'), jwks: { keys: [keys.otherBot.publicJwk] } },
    ],
    store: oauth,
    signingKeys,
    startTask: (request) => registry.start(request),
    continueTask({ agent, task }) {
      const running = registry.get(task);
      if (running?.agent === agent) return running;
      return refuseTask('not_found', `task '${task}' is not a running task of agent '${agent}'`, {
        field: 'task',
        value: task,
      });
    },
    verifySubjectToken: verifier.verify,
    onTokenIssued: async (token) => void issued.push(token),
    onRefused: (request) => void refused.push(request),
    clock,
    log,
    tokenSeconds: 600,
  });
  server.on('request', authorizationServer.callback);

  async function assertion(
    agent: string,
    key: AgentKey,
    over: { claims?: JWTPayload; header?: object } = {},
  ): Promise<string> {
    const now = Math.floor(Date.now() / 1000);
    const claims = {
      iss: agent,
      sub: agent,
      aud: issuer,
      jti: randomBytes(16).toString('hex'),
      iat: now,
      exp: now + 60,
    };
    return new SignJWT({ ...claims, ...over.claims })
      .setProtectedHeader({ alg: key.alg, ...over.header })
      .sign(key.privateKey);
  }

  async function post(
    parameters: readonly (readonly [string, string])[],
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    const response = await fetch(`${issuer}/oauth/token`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/x-www-form-urlencoded', ...headers },
      body: new URLSearchParams(parameters.map(([name, value]): [string, string] => [name, value])).toString(),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: JSON.parse(text) as Answer['body'] };
  }

  /** A token request of `support-bot` unless told otherwise; `undefined` leaves a parameter out. */
  async function request(
    parameters: Readonly<Record<string, string | undefined>>,
    client: { agent?: string; key?: AgentKey; assertion?: string } = {},
  ): Promise<Answer> {
    const agent = client.agent ?? 'support-bot';
    const all = {
      client_assertion_type: ASSERTION,
      client_assertion: client.assertion ?? (await assertion(agent, client.key ?? keys.supportBot)),
      resource,
      ...parameters,
    };
    return post(Object.entries(all).flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const])));
  }

  const details = (detail: object): string => JSON.stringify([{ type: 'remit_task', ...detail }]);

  return {
    state,
    issuer,
    resource,
    idp,
    otherIdp,
    keys,
    tasks,
    registry,
    signingKeys,
    signingRows,
    oauth,
    issued,
    refused,
    logged,
    authorizationServer,
    authenticator: createTaskTokenAuthenticator({
      issuer,
      audience: resource,
      keys: () => signingKeys.verificationKeys(),
      clock,
    }),
    assertion,
    post,
    request,
    details,
    declare: (detail: object, more: Readonly<Record<string, string | undefined>> = {}, client = {}) =>
      request({ grant_type: 'client_credentials', authorization_details: details(detail), ...more }, client),
    exchange: (token: string, detail: object, more: Readonly<Record<string, string | undefined>> = {}) =>
      request({
        grant_type: EXCHANGE,
        subject_token: token,
        subject_token_type: ACCESS_TOKEN,
        authorization_details: details(detail),
        ...more,
      }),
    thumbprint: (key: AgentKey) => calculateJwkThumbprint(key.publicJwk),
    async close(): Promise<void> {
      registry.close();
      await Promise.all([
        idp.close(),
        otherIdp.close(),
        new Promise((resolve) => {
          server.close(resolve);
          server.closeAllConnections();
        }),
      ]);
    },
  };
}
