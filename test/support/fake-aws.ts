/**
 * FAKE: stands for AWS STS (AssumeRole) and AWS KMS (Encrypt, Decrypt), written from their API references. It verifies what they verify: Signature
 * Version 4 (on its own, not with the library that signs), the request's time, trust (external id, `sts:TagSession`), the session's name, length, policy
 * document and tags; of KMS the key's state and the encryption context. What a session may do is evaluated from the role's and the session's
 * policy: allow statements, wildcards, deny of everything. Never a part of the product.
 */
import { createCipheriv, createDecipheriv, createHash, createHmac, randomBytes } from 'node:crypto';
import { type FakeService, type ServiceAnswer, type ServiceRequest, startFakeService } from './fake-service.ts';

type Json = Record<string, unknown>;

interface Statement {
  readonly Effect: 'Allow' | 'Deny';
  readonly Action: string | string[];
  readonly Resource: string | string[];
}

interface Role {
  readonly policy: readonly Statement[];
  readonly externalId?: string;
  readonly mayTag: boolean;
  readonly maxSeconds: number;
}

interface Session {
  readonly name: string;
  readonly role: string;
  readonly policy: readonly Statement[];
  readonly tags: Readonly<Record<string, string>>;
  readonly secretAccessKey: string;
  readonly token: string;
  readonly endsAt: number;
}

export interface FakeAws extends FakeService {
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Asked for with the key above, where it is set: as temporary credentials are. */
  sessionToken: string | undefined;
  readonly roles: Map<string, Role>;
  /** By access key id. */
  readonly sessions: Map<string, Session>;
  readonly kmsKeys: Map<string, { key: Buffer; state: 'Enabled' | 'Disabled' | 'PendingDeletion' }>;
  now: () => number;
  /** A session's life beyond what was asked, seconds. */
  moreSeconds: number;
  /** Whether answers lack their outermost element, as those of Ceph's gateway do. */
  isBare: boolean;
  /** Whether somebody with these parts may do that now. */
  allows(accessKeyId: string, secretAccessKey: string, token: string, action: string, resource: string): boolean;
}

const SESSION_NAME = /^[\w+=,.@-]{2,64}$/;
const TAG_TEXT = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u;
const POLICY_TEXT = /^[\t\n\r -\u00ff]+$/;

export async function startFakeAws(): Promise<FakeAws> {
  const service = await startFakeService(answer);
  const fake: FakeAws = Object.assign(service, {
    region: 'eu-west-1',
    accessKeyId: 'AKIAFAKEREMIT0000001',
    secretAccessKey: `canary-aws-${randomBytes(16).toString('hex')}`,
    sessionToken: undefined,
    roles: new Map<string, Role>(),
    sessions: new Map<string, Session>(),
    kmsKeys: new Map(),
    now: Date.now,
    moreSeconds: 0,
    isBare: false,
    allows(accessKeyId: string, secretAccessKey: string, token: string, action: string, resource: string) {
      const session = fake.sessions.get(accessKeyId);
      if (session === undefined || session.secretAccessKey !== secretAccessKey || session.token !== token) return false;
      if (session.endsAt <= fake.now()) return false;
      const role = fake.roles.get(session.role)?.policy ?? [];
      return [role, session.policy].every((policy) => permits(policy, action, resource));
    },
  });

  function answer(request: ServiceRequest): ServiceAnswer {
    const target = request.headers['x-amz-target'];
    const isKms = typeof target === 'string';
    const refuse = isKms ? kmsError : stsError;
    const fault = signatureFault(request, isKms ? 'kms' : 'sts');
    if (fault !== undefined) return refuse(403, fault, `${fault}: the request could not be verified`);
    if (isKms) return kms(target, JSON.parse(request.body) as Json);
    const answered = sts(request);
    const [outermost] = Object.values(answered.body ?? {});
    return fake.isBare ? { ...answered, body: outermost } : answered;
  }

  /** Signature Version 4, computed from the request as it came. */
  function signatureFault({ method, path, headers, body }: ServiceRequest, service: string): string | undefined {
    const found =
      /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/([^/]+)\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/.exec(
        headers.authorization ?? '',
      );
    if (found === null) return 'IncompleteSignature';
    const [, id, day, region, named, signed = '', signature] = found;
    if (id !== fake.accessKeyId) return 'InvalidClientTokenId';
    if (headers['x-amz-security-token'] !== fake.sessionToken) return 'InvalidClientTokenId';
    if (region !== fake.region || named !== service) return 'SignatureDoesNotMatch';
    const date = String(headers['x-amz-date']);
    const time = Date.parse(date.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
    if (!(Math.abs(time - fake.now()) < 300_000) || !date.startsWith(String(day))) return 'SignatureDoesNotMatch';
    const names = signed.split(';');
    if (!['host', 'x-amz-date', 'content-type'].every((name) => names.includes(name))) return 'SignatureDoesNotMatch';
    const canonical = [
      method,
      path,
      '',
      ...names.map((name) => `${name}:${String(headers[name]).trim().replace(/ +/g, ' ')}`),
      '',
      signed,
      createHash('sha256').update(body).digest('hex'),
    ].join('\n');
    const scope = `${day}/${region}/${named}/aws4_request`;
    const text = ['AWS4-HMAC-SHA256', date, scope, createHash('sha256').update(canonical).digest('hex')].join('\n');
    const key = [day, region, named, 'aws4_request'].reduce<Buffer | string>(
      (last, part) => createHmac('sha256', last).update(String(part)).digest(),
      `AWS4${fake.secretAccessKey}`,
    );
    return createHmac('sha256', key).update(text).digest('hex') === signature ? undefined : 'SignatureDoesNotMatch';
  }

  function sts({ headers, body }: ServiceRequest): ServiceAnswer {
    const form = new URLSearchParams(body);
    const field = (name: string): string => form.get(name) ?? '';
    // Without it, the answer is XML.
    if (headers.accept !== 'application/json') return { status: 200, text: '<AssumeRoleResponse/>' };
    if (field('Action') !== 'AssumeRole' || field('Version') !== '2011-06-15')
      return stsError(400, 'InvalidAction', 'no such action');
    const role = fake.roles.get(field('RoleArn'));
    const denied = `User: remit is not authorized to perform: sts:AssumeRole on resource: ${field('RoleArn')}`;
    if (role === undefined || (role.externalId ?? '') !== field('ExternalId'))
      return stsError(403, 'AccessDenied', denied);
    if (!SESSION_NAME.test(field('RoleSessionName'))) return stsError(400, 'ValidationError', 'roleSessionName');
    const seconds = Number(field('DurationSeconds'));
    if (!(seconds >= 900 && seconds <= role.maxSeconds)) {
      const text =
        'The requested DurationSeconds exceeds the MaxSessionDuration set for this role, or is less than 900';
      return stsError(400, 'ValidationError', text);
    }
    const text = field('Policy');
    if (text.length > 2_048) return stsError(400, 'ValidationError', 'policy: length less than or equal to 2048');
    const policy = readPolicy(text);
    if (policy === undefined) return stsError(400, 'MalformedPolicyDocument', 'Syntax errors in policy.');
    const tags = readTags(form);
    if (tags === undefined) return stsError(400, 'ValidationError', 'tags');
    if (Object.keys(tags).length > 0 && !role.mayTag)
      return stsError(403, 'AccessDenied', denied.replace('AssumeRole', 'TagSession'));
    const [id, secretAccessKey, token] = [`ASIA${hex(8).toUpperCase()}`, hex(20), hex(40)];
    const endsAt = fake.now() + (seconds + fake.moreSeconds) * 1000;
    const name = field('RoleSessionName');
    fake.sessions.set(id, { name, role: field('RoleArn'), policy, tags, secretAccessKey, token, endsAt });
    const Credentials = {
      AccessKeyId: id,
      SecretAccessKey: secretAccessKey,
      SessionToken: token,
      Expiration: Math.floor(endsAt / 1000),
    };
    return { status: 200, body: { AssumeRoleResponse: { AssumeRoleResult: { Credentials, PackedPolicySize: 10 } } } };
  }

  function kms(target: string, body: Json): ServiceAnswer {
    const id = String(body.KeyId ?? '');
    const found = fake.kmsKeys.get(id);
    if (found === undefined) return kmsError(400, 'NotFoundException', `Key '${id}' does not exist`);
    if (found.state === 'Disabled') return kmsError(400, 'DisabledException', `${id} is disabled.`);
    if (found.state === 'PendingDeletion')
      return kmsError(400, 'KMSInvalidStateException', `${id} is pending deletion.`);
    const context = Buffer.from(JSON.stringify(Object.entries((body.EncryptionContext ?? {}) as Json).toSorted()));
    if (target === 'TrentService.Encrypt') {
      const iv = randomBytes(12);
      const cipher = createCipheriv('aes-256-gcm', found.key, iv).setAAD(
        Buffer.concat([Buffer.from(id.padEnd(96)), context]),
      );
      const sealed = Buffer.concat([cipher.update(String(body.Plaintext), 'base64'), cipher.final()]);
      const blob = Buffer.concat([Buffer.from(id.padEnd(96)), iv, cipher.getAuthTag(), sealed]);
      return {
        status: 200,
        body: { CiphertextBlob: blob.toString('base64'), KeyId: id, EncryptionAlgorithm: 'SYMMETRIC_DEFAULT' },
      };
    }
    if (target !== 'TrentService.Decrypt') return kmsError(400, 'UnknownOperationException', '');
    const blob = Buffer.from(String(body.CiphertextBlob), 'base64');
    const owner = blob.subarray(0, 96).toString().trim();
    if (fake.kmsKeys.has(owner) && owner !== id)
      return kmsError(400, 'IncorrectKeyException', 'another key encrypted it');
    try {
      const decipher = createDecipheriv('aes-256-gcm', found.key, blob.subarray(96, 108), { authTagLength: 16 });
      decipher.setAAD(Buffer.concat([blob.subarray(0, 96), context])).setAuthTag(blob.subarray(108, 124));
      const opened = Buffer.concat([decipher.update(blob.subarray(124)), decipher.final()]);
      return { status: 200, body: { Plaintext: opened.toString('base64'), KeyId: id } };
    } catch {
      return kmsError(400, 'InvalidCiphertextException', '');
    }
  }

  return fake;
}

const hex = (bytes: number): string => randomBytes(bytes).toString('hex');

function readPolicy(text: string): Statement[] | undefined {
  if (!POLICY_TEXT.test(text)) return undefined;
  try {
    const { Version, Statement: statements } = JSON.parse(text) as { Version: string; Statement: Statement[] };
    const isWhole = statements.every(
      (one) => ['Allow', 'Deny'].includes(one.Effect) && list(one.Action).length > 0 && list(one.Resource).length > 0,
    );
    return Version === '2012-10-17' && isWhole ? statements : undefined;
  } catch {
    return undefined;
  }
}

function readTags(form: URLSearchParams): Record<string, string> | undefined {
  const tags: Record<string, string> = {};
  for (let index = 1; form.has(`Tags.member.${index}.Key`); index++) {
    const [key, value] = ['Key', 'Value'].map((part) => form.get(`Tags.member.${index}.${part}`) ?? '');
    if (key === undefined || value === undefined || key === '' || index > 50) return undefined;
    if (key.length > 128 || value.length > 256 || !TAG_TEXT.test(key) || !TAG_TEXT.test(value)) return undefined;
    tags[key] = value;
  }
  return tags;
}

function permits(policy: readonly Statement[], action: string, resource: string): boolean {
  const hits = policy.filter(
    ({ Action, Resource }) =>
      list(Action).some((pattern) => matches(pattern, action)) &&
      list(Resource).some((pattern) => matches(pattern, resource)),
  );
  return hits.length > 0 && hits.every(({ Effect }) => Effect === 'Allow');
}

/** `*` and `?` are wildcards; `${*}`, `${?}` and `${$}` stand for the signs themselves. */
function matches(pattern: string, text: string): boolean {
  const source = pattern.replace(/\$\{[*?$]\}|[*?]|[.+^${}()|[\]\\/]/g, (part) => {
    if (part === '*') return '.*';
    if (part === '?') return '.';
    return `\\${part.length > 1 ? part[2] : part}`;
  });
  return new RegExp(`^${source}$`, 's').test(text);
}

const list = (value: string | string[]): string[] => (Array.isArray(value) ? value : [value]);

function stsError(status: number, Code: string, Message: string): ServiceAnswer {
  return { status, body: { Error: { Code, Message, Type: 'Sender' }, RequestId: hex(8) } };
}

function kmsError(status: number, type: string, message: string): ServiceAnswer {
  return { status, body: { __type: type, message } };
}
