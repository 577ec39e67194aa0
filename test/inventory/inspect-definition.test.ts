import { describe, expect, it } from 'vitest';
import { inspectDefinition, isUnusable } from '../../src/inventory/inspect-definition.ts';

const tool = (schema: unknown, description = 'Searches.') => ({
  name: 'search',
  description,
  inputSchema: schema as object,
});

describe('what a definition is flagged for', () => {
  it('says nothing of an ordinary definition', () => {
    const schema = {
      type: 'object',
      $defs: { id: { type: 'string', pattern: '^[a-z0-9-]{1,64}$' } },
      properties: { id: { $ref: '#/$defs/id' }, pattern: { type: 'string', description: 'a name like any other' } },
    };
    expect(inspectDefinition(tool(schema))).toEqual([]);
  });

  it('A25: hidden characters in a description, a nested text, and a name', () => {
    const flags = inspectDefinition(
      tool({ type: 'object', properties: { 'a\u200bb': { description: 'x\u{e0041}\u202e' } } }, 'ok \u001b[8mhidden'),
    );
    expect(flags.map(({ kind, at }) => [kind, at])).toEqual([
      ['hidden_characters', '/description'],
      ['hidden_characters', '/inputSchema/properties/a\u200bb'],
      ['hidden_characters', '/inputSchema/properties/a\u200bb/description'],
    ]);
  });

  it('references into the network are named and never followed', () => {
    const flags = inspectDefinition(
      tool({
        properties: { a: { $ref: 'http://169.254.169.254/x.json' }, b: { $ref: 'other.json' }, c: { $ref: '#' } },
      }),
    );
    expect(flags.map(({ kind, at }) => `${kind} ${at}`)).toEqual([
      'network_reference /inputSchema/properties/a/$ref',
      'network_reference /inputSchema/properties/b/$ref',
    ]);
  });

  it.each(['^(a+)+$', '(\\w*)*x', '([a-z]+){2,}', '^(?=x)', '(a)\\1', 'a{1,100000}', 'x'.repeat(1001), '('])(
    'fault 46: the pattern %s is refused',
    (pattern) => {
      expect(inspectDefinition(tool({ properties: { a: { type: 'string', pattern } } }))).toMatchObject([
        { kind: 'unsafe_pattern' },
      ]);
    },
  );

  it('fault 46: looking at a pattern takes no longer for a hostile one', () => {
    const pattern = `${'(a*)*'.repeat(190)}$`;
    const started = process.cpuUsage().user;
    inspectDefinition(tool({ properties: { a: { pattern } } }));
    expect(process.cpuUsage().user - started).toBeLessThan(1_000_000);
  });

  it.each([
    ['no name', { a: { type: 'string', 'x-mcp-header': '' } }],
    ['a space in its name', { a: { type: 'string', 'x-mcp-header': 'My Region' } }],
    ['a line break in its name', { a: { type: 'string', 'x-mcp-header': 'A\r\nHost' } }],
    ['a number that is no integer', { a: { type: 'number', 'x-mcp-header': 'A' } }],
    ['an object', { a: { type: 'object', 'x-mcp-header': 'A' } }],
    ['one header for two', { a: { type: 'string', 'x-mcp-header': 'A' }, b: { type: 'string', 'x-mcp-header': 'a' } }],
  ])('A13: a tool that marks an argument for a header with %s is unusable', (_, properties) => {
    const flags = inspectDefinition(tool({ type: 'object', properties }));
    expect(flags.map(({ kind }) => kind)).toContain('invalid_header_mark');
    expect(isUnusable(flags)).toBe(true);
  });

  it('leaves a proper mark, and an argument of that name, alone', () => {
    const properties = { region: { type: 'string', 'x-mcp-header': 'Region' }, 'x-mcp-header': { type: 'array' } };
    expect(inspectDefinition(tool({ type: 'object', properties }))).toEqual([]);
  });

  it('I3: a schema that is nested too deep or too large makes its item unusable', () => {
    let deep: object = {};
    for (let level = 0; level < 100; level++) deep = { properties: { a: deep } };
    const flags = inspectDefinition(tool(deep));
    expect(flags.map(({ kind }) => kind)).toEqual(['too_deep']);
    expect(isUnusable(flags)).toBe(true);
    const wide = inspectDefinition(tool({ enum: Array.from({ length: 30_000 }, (_, index) => index) }));
    expect(wide.map(({ kind }) => kind)).toEqual(['too_large']);
    expect(isUnusable(wide)).toBe(true);
    expect(isUnusable(inspectDefinition(tool({ $ref: 'http://x' })))).toBe(false);
  });
});
