import { readFile } from 'node:fs/promises';
import { Ajv } from 'ajv';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { starterConfig } from '../../src/cli/commands/init-files.ts';
import { configJsonSchema } from '../../src/config/json-schema.ts';

/** What an editor makes of the schema that `remit init` writes: an independent validator must agree with ours. */
const validate = new Ajv({ strict: false, validateFormats: false, allErrors: true }).compile(configJsonSchema());

function complaints(value: unknown): string[] {
  validate(value);
  return (validate.errors ?? []).map(
    (error) => `${error.instancePath} ${error.keyword} ${JSON.stringify(error.params)}`,
  );
}

const starter = (): Record<string, unknown> =>
  parse(starterConfig('dana@shop.example', 'production')) as Record<string, unknown>;

/** The demo's configuration, as the text in its source, with numbers and addresses in place of what it fills in. */
async function demoConfig(): Promise<Record<string, unknown>> {
  const source = await readFile('demo/estate.ts', 'utf8');
  const text = /return `(version: 1\n[\s\S]*?)`;/.exec(source)?.[1];
  if (text === undefined) throw new Error('demo/estate.ts has no configuration');
  const filled = text.replace(/\$\{([^}]+)\}/g, (_, name: string) => {
    if (/port$/i.test(name)) return '5432';
    if (/url|issuer/.test(name)) return 'http://127.0.0.1:8080';
    return name === 'expires' ? '2030-01-01T00:00:00Z' : 'x';
  });
  return parse(filled) as Record<string, unknown>;
}

describe('the generated JSON Schema', () => {
  it('accepts what remit init writes', () => {
    expect(complaints(starter())).toEqual([]);
  });

  it('accepts the demo’s configuration', async () => {
    const config = await demoConfig();
    expect(Object.keys(config.connectors as object)).toEqual(['shop_db', 'files', 'crm']);
    expect(complaints(config)).toEqual([]);
  });

  it('rejects an unknown key at the top and deep inside', () => {
    expect(complaints({ ...starter(), colour: 'red' })).toEqual([
      ' additionalProperties {"additionalProperty":"colour"}',
    ]);
    const config = starter() as { templates: Record<string, Record<string, unknown>> };
    (config.templates['read-files'] as Record<string, unknown>).colour = 'red';
    expect(complaints(config)).toEqual(['/templates/read-files additionalProperties {"additionalProperty":"colour"}']);
  });

  it.each([
    ['a wrong type', { tokenSeconds: 'long' }, '/tokenSeconds type'],
    ['a kind of store that is none', { store: { kind: 'mysql' } }, '/store'],
    ['a missing key', { agents: { bot: { owner: 'dana' } } }, '/agents/bot required {"missingProperty":"publicKeys"}'],
  ])('rejects %s', (_, change, expected) => {
    expect(complaints({ ...starter(), ...change }).join('\n')).toContain(expected);
  });
});
