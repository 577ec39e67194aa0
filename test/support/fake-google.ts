/**
 * FAKE: stands for Google's OAuth token endpoint (JWT bearer), the IAM credentials API (`generateAccessToken`), the Security Token Service (exchange
 * with a credential access boundary) and Cloud KMS (encrypt, decrypt), written from their references. It verifies signature, audience, times and
 * scope of an assertion, who may impersonate whom, the boundary's shape, and additional authenticated data. What a downscoped token may do is
 * evaluated from the account's rights and the boundary, for the conditions that the references show. Never a part of the product.
 */
import { createCipheriv, createDecipheriv, generateKeyPairSync, randomBytes } from 'node:crypto';
import { jwtVerify } from 'jose';
import { type FakeService, type ServiceAnswer, type ServiceRequest, startFakeService } from './fake-service.ts';

type Json = Record<string, unknown>;

interface BoundaryRule {
  readonly availableResource: string;
  readonly availablePermissions: readonly string[];
  readonly availabilityCondition?: { readonly expression: string };
}

interface AccessToken {
  readonly account: string;
  readonly endsAt: number;
  readonly rules?: readonly BoundaryRule[];
}

export interface FakeGoogle extends FakeService {
  readonly email: string;
  /** JSON, as Google gives it. */
  readonly key: string;
  readonly tokens: Map<string, AccessToken>;
  /** Accounts that the key's account may create tokens for. */
  readonly impersonable: Set<string>;
  /** Roles of accounts in Cloud Storage. */
  readonly roles: Map<string, readonly string[]>;
  /** By resource name: `projects/…/cryptoKeys/…`. */
  readonly kmsKeys: Map<string, { key: Buffer; state: 'ENABLED' | 'DISABLED' }>;
  now: () => number;
  /** What `generateAccessToken` gives beyond what was asked, seconds. */
  moreSeconds: number;
  /** Whether a role's rights on an object are there now. */
  allows(token: string, role: string, bucket: string, object: string): boolean;
}

const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';
const PLATFORM = 'https://www.googleapis.com/auth/cloud-platform';
const BUCKET = /^\/\/storage\.googleapis\.com\/projects\/_\/buckets\/[a-z0-9][a-z0-9._-]+$/;

export async function startFakeGoogle(): Promise<FakeGoogle> {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const service = await startFakeService(answer);
  const email = 'remit@shop.iam.gserviceaccount.com';
  const fake: FakeGoogle = Object.assign(service, {
    email,
    key: JSON.stringify({
      type: 'service_account',
      client_email: email,
      private_key_id: 'key-1',
      private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
      token_uri: 'https://not-followed.example.com/token',
    }),
    tokens: new Map<string, AccessToken>(),
    impersonable: new Set<string>(),
    roles: new Map<string, readonly string[]>(),
    kmsKeys: new Map(),
    now: Date.now,
    moreSeconds: 0,
    allows(token: string, role: string, bucket: string, object: string) {
      const known = live(token);
      if (known === undefined || !(fake.roles.get(known.account) ?? []).includes(role)) return false;
      if (known.rules === undefined) return true;
      return known.rules.some(
        ({ availableResource, availablePermissions, availabilityCondition }) =>
          availableResource === `//storage.googleapis.com/projects/_/buckets/${bucket}` &&
          availablePermissions.includes(`inRole:${role}`) &&
          (availabilityCondition === undefined ||
            isMet(availabilityCondition.expression, `projects/_/buckets/${bucket}/objects/${object}`)),
      );
    },
  });

  function live(token: string): AccessToken | undefined {
    const known = fake.tokens.get(token);
    return known !== undefined && known.endsAt > fake.now() ? known : undefined;
  }
  function give(account: string, endsAt: number, rules?: readonly BoundaryRule[]): string {
    const token = `ya29.${randomBytes(24).toString('base64url')}`;
    fake.tokens.set(token, { account, endsAt, ...(rules && { rules }) });
    return token;
  }

  async function answer({ method, path, headers, body }: ServiceRequest): Promise<ServiceAnswer> {
    if (path === '/token') return oauth(new URLSearchParams(body));
    if (path === '/v1/token') return exchange(new URLSearchParams(body));
    const caller = live(/^Bearer (.+)$/.exec(headers.authorization ?? '')?.[1] ?? '');
    if (method !== 'POST' || caller === undefined)
      return apiError(401, 'UNAUTHENTICATED', 'invalid authentication credentials');
    const account = /^\/v1\/projects\/-\/serviceAccounts\/([^/:]+):generateAccessToken$/.exec(path)?.[1];
    const asked = JSON.parse(body) as Json;
    if (account !== undefined) return impersonate(decodeURIComponent(account), asked);
    const [, name, verb] = /^\/v1\/(projects\/.+\/cryptoKeys\/[^/:]+):(encrypt|decrypt)$/.exec(path) ?? [];
    return name === undefined ? apiError(404, 'NOT_FOUND', 'not found') : kms(name, verb === 'encrypt', asked);
  }

  async function oauth(form: URLSearchParams): Promise<ServiceAnswer> {
    if (form.get('grant_type') !== 'urn:ietf:params:oauth:grant-type:jwt-bearer')
      return oauthError('unsupported_grant_type', '');
    try {
      const { payload } = await jwtVerify(form.get('assertion') ?? '', publicKey, {
        algorithms: ['RS256'],
        audience: `${fake.url}/token`,
        issuer: fake.email,
        currentDate: new Date(fake.now()),
      });
      const { iat = 0, exp = 0, scope } = payload;
      if (exp - iat > 3_600 || exp <= iat)
        return oauthError('invalid_grant', 'Token must be a short-lived token (60 minutes)');
      if (scope !== PLATFORM && scope !== 'https://www.googleapis.com/auth/cloudkms')
        return oauthError('invalid_scope', '');
    } catch {
      return oauthError('invalid_grant', 'Invalid JWT Signature.');
    }
    const access_token = give(fake.email, fake.now() + 3_599_000);
    return { status: 200, body: { access_token, expires_in: 3_599, token_type: 'Bearer' } };
  }

  function impersonate(account: string, { scope, lifetime }: Json): ServiceAnswer {
    if (!fake.impersonable.has(account)) {
      return apiError(403, 'PERMISSION_DENIED', "Permission 'iam.serviceAccounts.getAccessToken' denied on resource");
    }
    const seconds = Number(/^(\d+)s$/.exec(String(lifetime))?.[1]);
    if (!Array.isArray(scope) || scope[0] !== PLATFORM || !(seconds > 0 && seconds <= 3_600)) {
      return apiError(400, 'INVALID_ARGUMENT', 'The lifetime must be a positive duration of 3600s at most.');
    }
    const endsAt = fake.now() + (seconds + fake.moreSeconds) * 1000;
    return { status: 200, body: { accessToken: give(account, endsAt), expireTime: new Date(endsAt).toISOString() } };
  }

  function exchange(form: URLSearchParams): ServiceAnswer {
    const subject = live(form.get('subject_token') ?? '');
    const isExchange = form.get('grant_type') === 'urn:ietf:params:oauth:grant-type:token-exchange';
    if (
      !isExchange ||
      form.get('subject_token_type') !== ACCESS_TOKEN ||
      form.get('requested_token_type') !== ACCESS_TOKEN
    ) {
      return oauthError('invalid_request', 'Invalid token type.');
    }
    if (subject === undefined) return oauthError('invalid_grant', 'The subject token is not valid.');
    const rules = readBoundary(form.get('options') ?? '');
    if (rules === undefined) return oauthError('invalid_request', 'Invalid accessBoundary.');
    const access_token = give(subject.account, subject.endsAt, rules);
    return { status: 200, body: { access_token, issued_token_type: ACCESS_TOKEN, token_type: 'Bearer' } };
  }

  function kms(
    name: string,
    isEncrypt: boolean,
    { plaintext, ciphertext, additionalAuthenticatedData = '' }: Json,
  ): ServiceAnswer {
    const found = fake.kmsKeys.get(name);
    if (found === undefined) return apiError(404, 'NOT_FOUND', `CryptoKey ${name} not found.`);
    if (found.state !== 'ENABLED')
      return apiError(400, 'FAILED_PRECONDITION', `${name} is not enabled, current state is: DISABLED.`);
    const context = Buffer.from(String(additionalAuthenticatedData), 'base64');
    if (isEncrypt) {
      const iv = randomBytes(12);
      const head = randomBytes(36);
      const cipher = createCipheriv('aes-256-gcm', found.key, iv).setAAD(Buffer.concat([head, context]));
      const sealed = Buffer.concat([cipher.update(String(plaintext), 'base64'), cipher.final()]);
      const blob = Buffer.concat([head, iv, cipher.getAuthTag(), sealed]);
      return { status: 200, body: { name: `${name}/cryptoKeyVersions/1`, ciphertext: blob.toString('base64') } };
    }
    try {
      const blob = Buffer.from(String(ciphertext), 'base64');
      const decipher = createDecipheriv('aes-256-gcm', found.key, blob.subarray(36, 48), { authTagLength: 16 });
      decipher.setAAD(Buffer.concat([blob.subarray(0, 36), context])).setAuthTag(blob.subarray(48, 64));
      const opened = Buffer.concat([decipher.update(blob.subarray(64)), decipher.final()]);
      return { status: 200, body: { plaintext: opened.toString('base64') } };
    } catch {
      return apiError(400, 'INVALID_ARGUMENT', 'Decryption failed: the ciphertext is invalid.');
    }
  }

  return fake;
}

function readBoundary(text: string): readonly BoundaryRule[] | undefined {
  try {
    const { accessBoundary } = JSON.parse(text) as { accessBoundary: { accessBoundaryRules: BoundaryRule[] } };
    const { accessBoundaryRules: rules } = accessBoundary;
    const isWhole = rules.every(
      ({ availableResource, availablePermissions, availabilityCondition }) =>
        BUCKET.test(availableResource) &&
        availablePermissions.length > 0 &&
        availablePermissions.every((one) => one.startsWith('inRole:')) &&
        (availabilityCondition === undefined || clausesOf(availabilityCondition.expression) !== undefined),
    );
    return rules.length >= 1 && rules.length <= 10 && isWhole ? rules : undefined;
  } catch {
    return undefined;
  }
}

const CLAUSE =
  /^\s*(?:resource\.name (==) '((?:[^'\\]|\\.)*)'|resource\.name\.(startsWith)\('((?:[^'\\]|\\.)*)'\)|api\.(getAttribute)\('storage\.googleapis\.com\/objectListPrefix', ''\)\.startsWith\('((?:[^'\\]|\\.)*)'\))\s*(\|\||$)/;

/** Clauses of a condition that the references show, joined by or; undefined for anything else. */
function clausesOf(expression: string): { how: string; text: string }[] | undefined {
  const clauses: { how: string; text: string }[] = [];
  for (let rest = expression; rest !== ''; ) {
    const found = CLAUSE.exec(rest);
    if (found === null) return undefined;
    const how = found[1] ?? found[3] ?? found[5] ?? '';
    clauses.push({ how, text: (found[2] ?? found[4] ?? found[6] ?? '').replace(/\\(.)/g, '$1') });
    rest = rest.slice(found[0].length);
  }
  return clauses;
}

function isMet(expression: string, name: string): boolean {
  return (clausesOf(expression) ?? []).some(
    ({ how, text }) => (how === '==' && text === name) || (how === 'startsWith' && name.startsWith(text)),
  );
}

const oauthError = (error: string, error_description: string): ServiceAnswer => ({
  status: 400,
  body: { error, error_description },
});

const apiError = (code: number, status: string, message: string): ServiceAnswer => ({
  status: code,
  body: { error: { code, message, status } },
});
