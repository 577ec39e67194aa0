import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { Secret } from '../../src/domain/secret.ts';
import { DEFAULT_TEMPLATES, renderInjection, wipeInjection } from '../../src/leases/render-injection.ts';
import type { CredentialInjection } from '../../src/seams/upstream.ts';

const CANARY = 'canary-pass-7730';
const fields = { username: new Secret('remit_x'), password: new Secret(CANARY), token: new Secret('tök-é') };

function reveal(injection: CredentialInjection): unknown {
  const open = (part: Readonly<Record<string, Secret>>) =>
    Object.fromEntries(Object.entries(part).map(([name, secret]) => [name, secret.reveal()]));
  return { environment: open(injection.environment), headers: open(injection.headers) };
}

describe('injection', () => {
  it('puts fields into their places, and leaves other braces alone', () => {
    const templates = {
      environment: {
        PGUSER: '{username}',
        DSN: 'postgres://{username}:{password}@db/{username}',
        JSON: '{"user":"{username}"} {} { username } {{username}}',
        PLAIN: 'no field',
      },
      headers: { Authorization: 'Bearer {token}' },
    };
    expect(reveal(renderInjection(templates, fields))).toEqual({
      environment: {
        PGUSER: 'remit_x',
        DSN: `postgres://remit_x:${CANARY}@db/remit_x`,
        JSON: '{"user":"remit_x"} {} { username } {remit_x}',
        PLAIN: 'no field',
      },
      headers: { Authorization: 'Bearer tök-é' },
    });
  });

  it('writes a field as it may stand in a URL where the template says so', () => {
    const odd = { username: new Secret('a b@c:d/e?f#g'), password: new Secret("p%'é~-._") };
    const templates = { environment: { DSN: 'redis://{username|url}:{password|url}@db:6379/0' }, headers: {} };
    const { environment } = renderInjection(templates, odd);
    const url = environment.DSN?.reveal() ?? '';
    expect(url).toBe('redis://a%20b%40c%3Ad%2Fe%3Ff%23g:p%25%27%C3%A9~-._@db:6379/0');
    const { username, password, host } = new URL(url);
    expect([username, password].map(decodeURIComponent)).toEqual(['a b@c:d/e?f#g', "p%'é~-._"]);
    expect(host).toBe('db:6379');
  });

  it('puts a credential into file descriptors and arguments, in their order, and keeps its parts for who looks for them', () => {
    const templates = {
      environment: { KEY_FILE: '/dev/fd/3' },
      headers: {},
      descriptors: { 3: '{password}\n', 4: '{token}' },
      arguments: ['--user', '{username}', '--token={token}'],
    };
    const injection = renderInjection(templates, fields);
    expect(injection.environment.KEY_FILE?.reveal()).toBe('/dev/fd/3');
    expect(Object.entries(injection.descriptors ?? {}).map(([name, secret]) => [name, secret.reveal()])).toEqual([
      ['3', `${CANARY}\n`],
      ['4', 'tök-é'],
    ]);
    expect(injection.arguments?.map((secret) => secret.reveal())).toEqual(['--user', 'remit_x', '--token=tök-é']);
    expect(injection.parts?.map((secret) => secret.reveal())).toContain(CANARY);
    wipeInjection(injection);
    const all = [
      ...Object.values(injection.descriptors ?? {}),
      ...(injection.arguments ?? []),
      ...(injection.parts ?? []),
    ];
    for (const secret of all) expect(secret.reveal()).toMatch(/^\0*$/);
  });

  it('does not read a field’s value as a template', () => {
    const tricky = { username: new Secret('{password}'), password: new Secret(CANARY) };
    expect(reveal(renderInjection({ environment: { A: '{username}' }, headers: {} }, tricky))).toMatchObject({
      environment: { A: '{password}' },
    });
  });

  it('has defaults for each built-in issuer', () => {
    expect(reveal(renderInjection(DEFAULT_TEMPLATES.postgres, fields))).toEqual({
      environment: { PGUSER: 'remit_x', PGPASSWORD: CANARY },
      headers: {},
    });
    expect(reveal(renderInjection(DEFAULT_TEMPLATES.static, fields))).toMatchObject({
      headers: { Authorization: 'Bearer tök-é' },
    });
  });

  it.each(['{nothing}', '{nothing|url}', '{constructor}', '{__proto__}', '{Username}'])(
    'refuses the unknown field %s',
    (template) => {
      expect(() => renderInjection({ environment: { A: template }, headers: {} }, fields)).toThrow(
        expect.objectContaining({ code: 'ERR_CONFIG_INVALID', where: 'credential.inject.environment.A' }),
      );
    },
  );

  it.each([
    ['headers', 'a\r\nX-Admin: 1'],
    ['headers', 'a\n'],
    ['headers', 'a\0'],
    ['environment', 'a\0B=1'],
  ] as const)('refuses a value that would break out of %s, without showing it', (part, value) => {
    const templates = { environment: {}, headers: {}, [part]: { A: `${CANARY}{token}` } };
    let error: unknown;
    try {
      renderInjection(templates, { token: new Secret(value) });
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toMatchObject({ code: 'ERR_CREDENTIAL_ISSUE' });
    expect(inspect(error, { depth: 9 })).not.toContain(CANARY);
  });

  it('L6 shows nothing, and nothing is left of it when it is wiped', () => {
    const injection = renderInjection(DEFAULT_TEMPLATES.postgres, fields);
    expect(inspect(injection, { depth: 9, showHidden: true })).not.toContain(CANARY);
    wipeInjection(injection);
    expect(injection.environment.PGPASSWORD?.reveal()).toBe('\0'.repeat(CANARY.length));
    expect(fields.password.reveal()).toBe(CANARY);
  });
});
