/**
 * FAKE: stands for GitHub's REST API as far as an app's installation goes, written from its public reference: the app's JWT, tokens narrowed to
 * repositories and permissions, their end after an hour and their revocation, what an installation token may ask, refusals with their status and
 * words, rate limits. It verifies what GitHub verifies of a request. Never a part of the product.
 */
import { generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import { jwtVerify } from 'jose';
import { type FakeService, type ServiceAnswer, type ServiceRequest, startFakeService } from './fake-service.ts';

type Json = Record<string, unknown>;
type Level = 'read' | 'write' | 'admin';

interface Token {
  readonly permissions: Readonly<Record<string, Level>>;
  readonly repositories: readonly string[];
  readonly endsAt: number;
}

export interface FakeGithub extends FakeService {
  /** Its clock. */
  now: () => number;
  readonly appId: string;
  readonly installationId: number;
  /** As GitHub hands it out: PKCS#1 in PEM. */
  readonly privateKey: string;
  /** What the installation was granted. */
  readonly repositories: string[];
  readonly permissions: Record<string, Level>;
  isSuspended: boolean;
  /** Answers each token request so, with these headers. */
  limit: { readonly status: 403 | 429; readonly headers: Readonly<Record<string, string>> } | undefined;
  /** Put over the answer to a token request. */
  misdeed: Json;
  /** Bodies of token requests that were granted, in order. */
  readonly granted: Json[];
  /** Claims of the JWTs that it took. */
  readonly claims: Json[];
  liveTokens(): number;
  /** What a token may: its repositories and permissions; undefined where it is taken no more. */
  opens(
    token: string,
  ): { readonly repositories: readonly string[]; readonly permissions: Readonly<Record<string, Level>> } | undefined;
}

const ACCOUNT = 'shop';
const HOUR_MS = 3_600_000;
const RANKS: Readonly<Record<Level, number>> = { read: 1, write: 2, admin: 3 };
const REFERENCE = 'https://docs.github.com/rest';

export async function startFakeGithub(): Promise<FakeGithub> {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const tokens = new Map<string, Token>();
  const github = {
    now: Date.now,
    appId: 'Iv23liFakeApp',
    installationId: 4711,
    privateKey: privateKey.export({ type: 'pkcs1', format: 'pem' }).toString(),
    repositories: ['api', 'web', 'Docs.site'],
    permissions: { metadata: 'read', contents: 'write', issues: 'write', pull_requests: 'write' } as Record<
      string,
      Level
    >,
    isSuspended: false,
    limit: undefined as FakeGithub['limit'],
    misdeed: {} as Json,
    granted: [] as Json[],
    claims: [] as Json[],
    liveTokens: () => [...tokens.keys()].filter((token) => live(token) !== undefined).length,
    opens: (token: string) => live(token),
  };

  function live(token: string): Token | undefined {
    const found = tokens.get(token);
    return found !== undefined && found.endsAt > github.now() && !github.isSuspended ? found : undefined;
  }

  async function answer(request: ServiceRequest): Promise<ServiceAnswer> {
    const { method, path, headers } = request;
    if (headers['user-agent'] === undefined || headers.accept !== 'application/vnd.github+json') {
      return refuse(403, 'Request forbidden by administrative rules.');
    }
    const bearer = /^Bearer (.+)$/.exec(headers.authorization ?? '')?.[1] ?? '';
    const installation = /^\/app\/installations\/(\d+)\/access_tokens$/.exec(path)?.[1];
    if (method === 'POST' && installation !== undefined) return createToken(bearer, Number(installation), request.body);
    const token = live(bearer);
    if (token === undefined) return refuse(401, 'Bad credentials');
    if (method === 'DELETE' && path === '/installation/token') {
      tokens.delete(bearer);
      return { status: 204 };
    }
    const repository = /^\/repos\/shop\/([^/]+)$/.exec(path)?.[1];
    if (method !== 'GET' || repository === undefined) return refuse(404, 'Not Found');
    const isOpen = token.repositories.some((name) => name.toLowerCase() === repository.toLowerCase());
    return isOpen ? { status: 200, body: { full_name: `${ACCOUNT}/${repository}` } } : refuse(404, 'Not Found');
  }

  async function createToken(jwt: string, installation: number, text: string): Promise<ServiceAnswer> {
    const problem = await problemOf(jwt, publicKey);
    if (problem !== undefined) return refuse(401, problem);
    if (github.limit !== undefined) {
      return { ...refuse(github.limit.status, 'API rate limit exceeded'), headers: github.limit.headers };
    }
    if (installation !== github.installationId) return refuse(404, 'Not Found');
    if (github.isSuspended) return refuse(403, 'This installation has been suspended');
    const asked = JSON.parse(text) as { repositories?: string[]; permissions?: Record<string, Level> };
    const names = asked.repositories?.map((name) => find(name));
    if (names?.includes(undefined)) {
      return refuse(
        422,
        'There is at least one repository that does not exist or is not accessible to the parent installation.',
      );
    }
    const permissions: Record<string, Level> = { metadata: 'read', ...(asked.permissions ?? github.permissions) };
    const isGranted = Object.entries(permissions).every(
      ([name, level]) =>
        RANKS[level] <= RANKS[github.permissions[name] ?? 'read'] && github.permissions[name] !== undefined,
    );
    if (!isGranted) return refuse(422, 'The permissions requested are not granted to this installation.');
    const repositories = (names as string[] | undefined) ?? github.repositories;
    const token = `ghs_${github.appId}_${randomBytes(360).toString('base64url')}`;
    // Seconds are cut off in its times.
    const endsAt = Math.floor((github.now() + HOUR_MS) / 1000) * 1000;
    tokens.set(token, { permissions, repositories, endsAt });
    github.granted.push(asked);
    const body = {
      token,
      expires_at: new Date(endsAt).toISOString().replace('.000Z', 'Z'),
      permissions,
      repository_selection: names === undefined ? 'all' : 'selected',
      ...(names !== undefined && {
        repositories: repositories.map((name, id) => ({ id, name, full_name: `${ACCOUNT}/${name}` })),
      }),
      ...github.misdeed,
    };
    return { status: 201, body };
  }

  const find = (name: string): string | undefined =>
    github.repositories.find((known) => known.toLowerCase() === name.toLowerCase());

  /** What GitHub has against an app's JWT. */
  async function problemOf(jwt: string, key: KeyObject): Promise<string | undefined> {
    const now = Math.floor(github.now() / 1000);
    const options = { algorithms: ['RS256'], currentDate: new Date(github.now()) };
    const verified = await jwtVerify(jwt, key, options).catch(() => undefined);
    if (verified === undefined) return 'A JSON web token could not be decoded';
    const { iss, iat, exp } = verified.payload;
    if (iss !== github.appId) return "'Issuer' claim ('iss') must be an Integer or a client id";
    if (typeof iat !== 'number' || iat > now)
      return "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued";
    if (typeof exp !== 'number' || exp > now + 600) return "'Expiration time' claim ('exp') is too far in the future";
    github.claims.push(verified.payload);
    return undefined;
  }

  const service = await startFakeService(answer);
  return Object.assign(github, service);
}

function refuse(status: number, message: string): ServiceAnswer {
  return { status, body: { message, documentation_url: REFERENCE, status: String(status) } };
}
