/**
 * FAKE: stands for HashiCorp Vault and OpenBao, written from their public API reference: tokens with parents, policies, ends and accessors; AppRole
 * and JWT login; one database engine, one KV engine (version 2), one transit engine; leases that end with their token; revoke, lookup. It verifies what they
 * verify of a request: token, namespace, policy, that a child has no policy that its parent has not, that a JWT is signed, for its audience and
 * alive. Never a part of the product.
 */
import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto';
import { type JWTVerifyGetKey, jwtVerify } from 'jose';
import { type FakeService, type ServiceAnswer, type ServiceRequest, startFakeService } from './fake-service.ts';

type Json = Record<string, unknown>;

interface Token {
  readonly id: string;
  readonly accessor: string;
  readonly policies: readonly string[];
  readonly parent: string | undefined;
  /** Infinity: root. */
  readonly endsAt: number;
  readonly meta: Json;
}

interface VaultLease {
  readonly id: string;
  readonly token: string;
  readonly endsAt: number;
  readonly username: string;
  readonly password: string;
  readonly role: string;
}

interface TransitKey {
  readonly versions: Buffer[];
  /** `min_decryption_version` */
  least: number;
  readonly isDerived: boolean;
  /** As servers of before 1.9: associated data are not looked at. */
  readonly ignoresAssociatedData: boolean;
}

export interface FakeVault extends FakeService {
  /** Moves its clock, milliseconds. */
  now: () => number;
  readonly namespace: string | undefined;
  readonly rootToken: string;
  /** What each policy opens: the beginnings of paths. */
  readonly policies: Map<string, readonly string[]>;
  /** Durations of the database's roles, seconds. */
  readonly databaseRoles: Map<string, number>;
  readonly approles: Map<string, { secretId: string; policies: string[]; ttl: number }>;
  readonly jwtRoles: Map<
    string,
    { audience: string; issuer: string; keys: JWTVerifyGetKey; policies: string[]; ttl: number }
  >;
  readonly kv: Map<string, Json>;
  readonly transitKeys: Map<string, TransitKey>;
  /** Whether the database takes it. */
  admits(username: string, password: string): boolean;
  liveLeases(): readonly VaultLease[];
  liveTokens(): readonly Token[];
  /** Revokes a token and all that hangs on it, as an operator does. */
  revokeToken(id: string): void;
  /** Every text that was ever given out as a secret. */
  readonly secrets: string[];
  /** Requests that the engine refuses to revoke. */
  refusesRevocation: boolean;
  /** Members of the answer of `auth/token/create` that are told otherwise. */
  childToken: Json;
}

export async function startFakeVault(options: { namespace?: string } = {}): Promise<FakeVault> {
  const tokens = new Map<string, Token>();
  const leases = new Map<string, VaultLease>();
  const text = (prefix: string): string => `${prefix}${randomBytes(12).toString('hex')}`;
  const secrets: string[] = [];
  const service = await startFakeService(answer);

  const fake: FakeVault = Object.assign(service, {
    now: Date.now,
    namespace: options.namespace,
    rootToken: text('hvs.root'),
    policies: new Map<string, readonly string[]>(),
    databaseRoles: new Map<string, number>(),
    approles: new Map(),
    jwtRoles: new Map(),
    kv: new Map<string, Json>(),
    transitKeys: new Map<string, TransitKey>(),
    secrets,
    refusesRevocation: false,
    childToken: {},
    admits: (username: string, password: string) =>
      live().some((lease) => lease.username === username && lease.password === password),
    liveLeases: live,
    liveTokens: () => [...tokens.values()].filter(isLive),
    revokeToken,
  });
  secrets.push(fake.rootToken);
  tokens.set(fake.rootToken, {
    id: fake.rootToken,
    accessor: text('acc-'),
    policies: ['root'],
    parent: undefined,
    endsAt: Number.POSITIVE_INFINITY,
    meta: {},
  });

  /** A token ends with its parent; a lease with its token. */
  function isLive(token: Token | undefined): boolean {
    if (token === undefined || token.endsAt <= fake.now() || !tokens.has(token.id)) return false;
    return token.parent === undefined || isLive(tokens.get(token.parent));
  }
  function live(): VaultLease[] {
    return [...leases.values()].filter(({ endsAt, token }) => endsAt > fake.now() && isLive(tokens.get(token)));
  }
  function revokeToken(id: string): void {
    tokens.delete(id);
  }

  function newToken(parent: Token | undefined, policies: readonly string[], ttl: number, meta: Json = {}): Token {
    const id = text('hvs.');
    secrets.push(id);
    const endsAt = fake.now() + ttl * 1000;
    const token = { id, accessor: text('acc-'), policies, parent: parent?.id, endsAt, meta };
    tokens.set(id, token);
    return token;
  }

  const authOf = (token: Token, ttl: number): Json => ({
    client_token: token.id,
    accessor: token.accessor,
    policies: token.policies,
    token_policies: token.policies,
    lease_duration: ttl,
    renewable: false,
    token_type: 'service',
  });

  function mayUse({ policies }: Token, path: string): boolean {
    if (policies.includes('root')) return true;
    return policies.some((name) => (fake.policies.get(name) ?? []).some((start) => path.startsWith(start)));
  }

  async function answer(request: ServiceRequest): Promise<ServiceAnswer> {
    const path = decodeURIComponent(request.path.replace(/^\/v1\//, ''));
    if (request.headers['x-vault-namespace'] !== fake.namespace) return refuse(404, 'no handler for route');
    const body = request.body === '' ? {} : (JSON.parse(request.body) as Json);
    if (path === 'auth/approle/login') return appRole(body);
    if (path === 'auth/jwt/login') return jwt(body);
    const token = tokens.get(String(request.headers['x-vault-token']));
    if (token === undefined || !isLive(token)) return refuse(403, 'permission denied', 'invalid token');
    // `default`, and what every token may do with itself.
    if (path === 'auth/token/lookup-self') {
      const seconds = Number.isFinite(token.endsAt) ? Math.floor((token.endsAt - fake.now()) / 1000) : 0;
      return { status: 200, body: { data: { ttl: seconds, policies: token.policies, accessor: token.accessor } } };
    }
    if (!mayUse(token, path)) return refuse(403, '1 error occurred:\n\t* permission denied\n\n');
    return authorised(request.method, path, token, body);
  }

  function appRole({ role_id, secret_id }: Json): ServiceAnswer {
    const role = fake.approles.get(String(role_id));
    if (role === undefined || role.secretId !== secret_id) return refuse(400, 'invalid role or secret ID');
    return { status: 200, body: { auth: authOf(newToken(undefined, role.policies, role.ttl), role.ttl) } };
  }

  async function jwt({ role: name, jwt: assertion }: Json): Promise<ServiceAnswer> {
    const role = fake.jwtRoles.get(String(name));
    if (role === undefined) return refuse(400, `role ${JSON.stringify(name)} could not be found`);
    try {
      await jwtVerify(String(assertion), role.keys, { audience: role.audience, issuer: role.issuer });
    } catch {
      return refuse(400, 'error validating token: invalid audience (aud) claim, issuer, signature or expiry');
    }
    return { status: 200, body: { auth: authOf(newToken(undefined, role.policies, role.ttl), role.ttl) } };
  }

  function authorised(method: string, path: string, token: Token, body: Json): ServiceAnswer {
    if (path === 'auth/token/create') return createToken(token, body);
    if (path === 'auth/token/revoke-accessor') {
      const found = [...tokens.values()].find(({ accessor }) => accessor === body.accessor);
      if (!isLive(found)) return refuse(400, 'invalid accessor');
      revokeToken((found as Token).id);
      return { status: 204 };
    }
    if (path === 'sys/leases/revoke') {
      if (fake.refusesRevocation) return refuse(500, 'failed to revoke entry: the database is away');
      leases.delete(String(body.lease_id));
      return { status: 204 };
    }
    if (path === 'sys/leases/lookup') {
      const lease = live().find(({ id }) => id === body.lease_id);
      return lease === undefined ? refuse(400, 'invalid lease') : { status: 200, body: { data: { id: lease.id } } };
    }
    const role = /^database\/creds\/(.+)$/.exec(path)?.[1];
    if (role !== undefined && method === 'GET') return credential(role, token);
    const secret = /^secret\/data\/(.+)$/.exec(path)?.[1];
    if (secret !== undefined && method === 'GET') {
      const data = fake.kv.get(secret);
      if (data === undefined) return refuse(404);
      return { status: 200, body: { data: { data, metadata: { version: 3, destroyed: false } } } };
    }
    const [, verb, key] = /^transit\/(encrypt|decrypt)\/(.+)$/.exec(path) ?? [];
    if (key !== undefined) return transit(verb === 'encrypt', fake.transitKeys.get(key), body);
    return refuse(404, `no handler for route "${path}"`);
  }

  function createToken(parent: Token, body: Json): ServiceAnswer {
    const asked = (body.policies as string[] | undefined) ?? parent.policies;
    if (!parent.policies.includes('root') && asked.some((name) => !parent.policies.includes(name))) {
      return refuse(400, 'child policies must be subset of parent');
    }
    const ttl = secondsOf(body.explicit_max_ttl);
    if (ttl === undefined || secondsOf(body.ttl) === undefined) return refuse(400, 'invalid duration');
    const token = newToken(parent, asked, ttl, body.meta as Json);
    return { status: 200, body: { auth: { ...authOf(token, ttl), ...fake.childToken } } };
  }

  function credential(role: string, token: Token): ServiceAnswer {
    const seconds = fake.databaseRoles.get(role);
    if (seconds === undefined) return refuse(400, `unknown role: ${role}`);
    const id = `database/creds/${role}/${text('')}`;
    const [username, password] = [text('v-remit-'), text('A1a-')];
    secrets.push(password);
    leases.set(id, { id, token: token.id, endsAt: fake.now() + seconds * 1000, username, password, role });
    const data = { username, password };
    return { status: 200, body: { lease_id: id, lease_duration: seconds, renewable: true, data } };
  }

  function transit(isEncrypt: boolean, key: TransitKey | undefined, body: Json): ServiceAnswer {
    if (key === undefined) return refuse(400, 'encryption key not found');
    const part = (name: string): Buffer => Buffer.from(String(body[name] ?? ''), 'base64');
    if (key.isDerived && body.context === undefined) return refuse(400, "missing 'context' for key derivation");
    const keyOf = (version: number): Buffer => {
      const own = key.versions[version - 1] as Buffer;
      return key.isDerived ? createHmac('sha256', own).update(part('context')).digest() : own;
    };
    const bound = key.ignoresAssociatedData ? Buffer.alloc(0) : part('associated_data');
    if (isEncrypt) {
      const iv = randomBytes(12);
      const version = key.versions.length;
      const cipher = createCipheriv('aes-256-gcm', keyOf(version), iv).setAAD(bound);
      const sealed = Buffer.concat([iv, cipher.update(part('plaintext')), cipher.final(), cipher.getAuthTag()]);
      return {
        status: 200,
        body: { data: { ciphertext: `vault:v${version}:${sealed.toString('base64')}`, key_version: version } },
      };
    }
    const [, number, text = ''] = /^vault:v(\d+):(.*)$/.exec(String(body.ciphertext)) ?? [];
    const version = Number(number);
    if (!(version >= 1 && version <= key.versions.length)) return refuse(400, 'invalid ciphertext: version is too new');
    if (version < key.least) return refuse(400, 'ciphertext or signature version is disallowed by policy (too old)');
    const bytes = Buffer.from(text, 'base64');
    if (bytes.length < 28) return refuse(400, 'invalid ciphertext: could not decode');
    try {
      const decipher = createDecipheriv('aes-256-gcm', keyOf(version), bytes.subarray(0, 12), { authTagLength: 16 });
      decipher.setAAD(bound).setAuthTag(bytes.subarray(-16));
      const opened = Buffer.concat([decipher.update(bytes.subarray(12, -16)), decipher.final()]);
      return { status: 200, body: { data: { plaintext: opened.toString('base64') } } };
    } catch {
      return refuse(400, 'cipher: message authentication failed');
    }
  }

  return fake;
}

function secondsOf(value: unknown): number | undefined {
  const found = /^(\d+)s$/.exec(String(value))?.[1];
  return found === undefined ? undefined : Number(found);
}

const refuse = (status: number, ...errors: string[]): ServiceAnswer => ({ status, body: { errors } });
