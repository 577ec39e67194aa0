import { RemitError } from '../domain/errors.ts';
import { Secret } from '../domain/secret.ts';
import type { CredentialInjection } from '../seams/upstream.ts';

/** Where a credential goes: text in which `{field}` stands for a part of it. Any other brace stands for itself. */
export interface InjectionTemplates {
  readonly environment: Readonly<Record<string, string>>;
  readonly headers: Readonly<Record<string, string>>;
}

/** Templates per issuer kind, for a connector that names none. */
export const DEFAULT_TEMPLATES = {
  postgres: { environment: { PGUSER: '{username}', PGPASSWORD: '{password}' }, headers: {} },
  redis: { environment: { REDIS_USERNAME: '{username}', REDIS_PASSWORD: '{password}' }, headers: {} },
  oauth: { environment: {}, headers: { Authorization: 'Bearer {token}' } },
  jwt: { environment: {}, headers: { Authorization: 'Bearer {token}' } },
  static: { environment: {}, headers: { Authorization: 'Bearer {token}' } },
} as const satisfies Readonly<Record<string, InjectionTemplates>>;

const FIELD = /\{([A-Za-z_][A-Za-z0-9_]*)\}/;

/**
 * Puts the parts of a credential into its templates. Works on bytes that are wiped afterwards, never on strings.
 * @throws `ERR_CONFIG_INVALID` for a field that the issuer does not give, `ERR_CREDENTIAL_ISSUE` for a value that would
 * break out of its header or variable
 */
export function renderInjection(
  templates: InjectionTemplates,
  fields: Readonly<Record<string, Secret>>,
): CredentialInjection {
  return {
    environment: renderAll(templates.environment, fields, 'environment', [0]),
    headers: renderAll(templates.headers, fields, 'headers', [0, 10, 13]),
  };
}

function renderAll(
  templates: Readonly<Record<string, string>>,
  fields: Readonly<Record<string, Secret>>,
  part: 'environment' | 'headers',
  forbiddenBytes: readonly number[],
): Record<string, Secret> {
  const rendered: Record<string, Secret> = {};
  for (const [name, template] of Object.entries(templates)) {
    const where = `credential.inject.${part}.${name}`;
    const pieces = template.split(FIELD).map((piece, index) => {
      if (index % 2 === 0) return Buffer.from(piece, 'utf8');
      if (Object.hasOwn(fields, piece)) return (fields[piece] as Secret).revealBytes();
      throw new RemitError('ERR_CONFIG_INVALID', `there is no {${piece}} in the credential`, {
        where,
        hint: `This issuer gives ${Object.keys(fields).join(', ')}.`,
      });
    });
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

/** Zeroes every value. */
export function wipeInjection(injection: CredentialInjection): void {
  for (const secret of [...Object.values(injection.environment), ...Object.values(injection.headers)]) secret.wipe();
}
