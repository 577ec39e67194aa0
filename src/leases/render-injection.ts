import { RemitError } from '../domain/errors.ts';
import { Secret } from '../domain/secret.ts';
import type { CredentialInjection } from '../seams/upstream.ts';

/**
 * Where a credential goes: text in which `{field}` stands for a part of it, and `{field|url}` for that part as it may stand in a URL
 * (RFC 3986 section 2.1). Any other brace stands for itself.
 */
export interface InjectionTemplates {
  readonly environment: Readonly<Record<string, string>>;
  readonly headers: Readonly<Record<string, string>>;
  /** By number, from 3: what a process reads from that file descriptor. */
  readonly descriptors?: Readonly<Record<string, string>>;
  /** Behind the command's own arguments; seen by every user of the host. */
  readonly arguments?: readonly string[];
}

/** Templates per issuer kind, for a connector that names none. */
export const DEFAULT_TEMPLATES = {
  postgres: { environment: { PGUSER: '{username}', PGPASSWORD: '{password}' }, headers: {} },
  redis: { environment: { REDIS_USERNAME: '{username}', REDIS_PASSWORD: '{password}' }, headers: {} },
  mysql: { environment: { MYSQL_USER: '{username}', MYSQL_PASSWORD: '{password}' }, headers: {} },
  ssh: { environment: { SSH_PRIVATE_KEY: '{privateKey}', SSH_CERTIFICATE: '{certificate}' }, headers: {} },
  nats: { environment: { NATS_CREDENTIALS: '{credentials}', NATS_INBOX_PREFIX: '{inboxPrefix}' }, headers: {} },
  oauth: { environment: {}, headers: { Authorization: 'Bearer {token}' } },
  mcpOauth: { environment: {}, headers: { Authorization: 'Bearer {token}' } },
  githubApp: { environment: {}, headers: { Authorization: 'Bearer {token}' } },
  idJag: { environment: {}, headers: { Authorization: 'Bearer {token}' } },
  oauthRefresh: { environment: {}, headers: { Authorization: 'Bearer {token}' } },
  jwt: { environment: {}, headers: { Authorization: 'Bearer {token}' } },
  vault: { environment: {}, headers: {} },
  kubernetes: { environment: {}, headers: { Authorization: 'Bearer {token}' } },
  aws: {
    environment: {
      AWS_ACCESS_KEY_ID: '{accessKeyId}',
      AWS_SECRET_ACCESS_KEY: '{secretAccessKey}',
      AWS_SESSION_TOKEN: '{sessionToken}',
    },
    headers: {},
  },
  gcp: { environment: {}, headers: { Authorization: 'Bearer {token}' } },
  entra: { environment: {}, headers: { Authorization: 'Bearer {token}' } },
  package: { environment: {}, headers: {} },
  static: { environment: {}, headers: { Authorization: 'Bearer {token}' } },
} as const satisfies Readonly<Record<string, InjectionTemplates>>;

const FIELD = /(\{[A-Za-z_][A-Za-z0-9_]*(?:\|url)?\})/;
const UNRESERVED = /[A-Za-z0-9\-._~]/;

type Fields = Readonly<Record<string, Secret>>;

/**
 * Puts the parts of a credential into its templates. Works on bytes that are wiped afterwards, never on strings.
 * @throws `ERR_CONFIG_INVALID` for a field that the issuer does not give, `ERR_CREDENTIAL_ISSUE` for a value that would
 * break out of its header, variable or argument
 */
export function renderInjection(templates: InjectionTemplates, fields: Fields): CredentialInjection {
  const { environment, headers, descriptors = {}, arguments: args = [] } = templates;
  return {
    environment: renderAll(environment, fields, 'environment', [0]),
    headers: renderAll(headers, fields, 'headers', [0, 10, 13]),
    descriptors: renderAll(descriptors, fields, 'descriptors', []),
    arguments: Object.values(renderAll(Object.fromEntries(args.entries()), fields, 'arguments', [0])),
    parts: Object.values(fields).map((field) => copyOf(field)),
  };
}

function renderAll(
  templates: Readonly<Record<string, string>>,
  fields: Fields,
  part: 'environment' | 'headers' | 'descriptors' | 'arguments',
  forbiddenBytes: readonly number[],
): Record<string, Secret> {
  const rendered: Record<string, Secret> = {};
  for (const [name, template] of Object.entries(templates)) {
    const where = `credential.inject.${part}.${name}`;
    const pieces = template
      .split(FIELD)
      .map((piece, index) =>
        index % 2 === 0 ? Buffer.from(piece, 'utf8') : bytesOf(piece.slice(1, -1), fields, where),
      );
    const bytes = Buffer.concat(pieces);
    const isUnfit = forbiddenBytes.some((byte) => bytes.includes(byte));
    if (!isUnfit) rendered[name] = new Secret(bytes);
    for (const buffer of [...pieces, bytes]) buffer.fill(0);
    if (isUnfit) {
      throw new RemitError('ERR_CREDENTIAL_ISSUE', 'the credential holds a line break or NUL and cannot be injected', {
        where,
        hint: 'Store the secret again without a trailing newline.',
      });
    }
  }
  return rendered;
}

/** @param name `field` or `field|url` */
function bytesOf(name: string, fields: Fields, where: string): Buffer {
  const [field = '', form] = name.split('|');
  if (!Object.hasOwn(fields, field)) {
    throw new RemitError('ERR_CONFIG_INVALID', `there is no {${field}} in the credential`, {
      where,
      hint: `This issuer gives ${Object.keys(fields).join(', ')}.`,
    });
  }
  const bytes = (fields[field] as Secret).revealBytes();
  if (form === undefined) return bytes;
  const encoded = percentEncode(bytes);
  bytes.fill(0);
  return encoded;
}

/** Everything but what is unreserved: it may then stand in any part of a URL, user information included. */
function percentEncode(bytes: Buffer): Buffer {
  const parts = [...bytes].map((byte) => {
    const character = String.fromCharCode(byte);
    return UNRESERVED.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  });
  return Buffer.from(parts.join(''), 'latin1');
}

function copyOf(secret: Secret): Secret {
  const bytes = secret.revealBytes();
  const copy = new Secret(bytes);
  bytes.fill(0);
  return copy;
}

/** Zeroes every value. */
export function wipeInjection(injection: CredentialInjection): void {
  for (const secret of secretsOf(injection)) secret.wipe();
}

function secretsOf({ environment, headers, descriptors = {}, arguments: args = [], parts = [] }: CredentialInjection) {
  return [...Object.values(environment), ...Object.values(headers), ...Object.values(descriptors), ...args, ...parts];
}
