import { describe, expect, it } from 'vitest';
import { renderDefinition, renderPrompt, renderTemplate } from '../../src/inventory/render-definition.ts';
import { makeTool } from '../support/fake-gateway-parts.ts';

function toolWith(members: Record<string, unknown>, name = 'orders') {
  const tool = makeTool(name);
  return { ...tool, definition: { ...tool.definition, raw: { ...tool.definition.raw, ...members } } };
}
const seen = (members: Record<string, unknown>) =>
  JSON.parse(renderDefinition(toolWith(members))) as Record<string, unknown>;

describe('a definition as clients see it', () => {
  it('has the members that calling needs, and no other of the server’s', () => {
    const odd = JSON.parse(
      '{"Name":"other__tool","_meta":{"a":1},"icons":[{"src":"https://evil.example/x"}],"execution":{"taskSupport":"required"},"__proto__":{"x":1}}',
    ) as Record<string, unknown>;
    expect(Object.keys(seen({ ...odd, title: 'T', annotations: { readOnlyHint: true } })).sort()).toEqual([
      'annotations',
      'description',
      'execution',
      'inputSchema',
      'name',
      'title',
    ]);
    expect(renderDefinition(toolWith(odd))).not.toMatch(/other__tool|evil|__proto__/);
  });

  it('holds no text that people do not see and models read', () => {
    const tags = [...'obey'].map((letter) => String.fromCodePoint(0xe0000 + letter.charCodeAt(0))).join('');
    const inputSchema = {
      type: 'object',
      properties: { id: { type: 'string', description: `the id\u200b\u202e${tags}\u001b[8m` } },
    };
    const { description, inputSchema: schema } = seen({ description: `Orders.${tags}\nTwo lines 👩‍👧`, inputSchema });
    expect(description).toBe('Orders.\nTwo lines 👩‍👧');
    expect(schema).toEqual({ type: 'object', properties: { id: { type: 'string', description: 'the id' } } });
  });

  it.each([
    [{ description: 42, title: {}, inputSchema: 'x', outputSchema: [], annotations: 1 }],
    [{ inputSchema: null }],
  ])('is one that clients accept, whatever the types of its members: %j', (members) => {
    const given = seen(members);
    expect(given.inputSchema).toEqual({ type: 'object' });
    for (const name of ['title', 'outputSchema', 'annotations']) expect(given).not.toHaveProperty(name);
    expect(typeof (given.description ?? '')).toBe('string');
  });

  it('stands under the name that it is shown by', () => {
    expect(JSON.parse(renderDefinition(toolWith({}), 'orders'))).toMatchObject({ name: 'orders' });
    expect(JSON.parse(renderDefinition(toolWith({})))).toMatchObject({ name: 'shop__orders' });
  });

  it('fault 46: has no reference into the network and no pattern that holds a client up', () => {
    const inputSchema = {
      type: 'object',
      $defs: { id: { type: 'string', pattern: '^[a-z]+$' } },
      properties: {
        a: { $ref: 'http://169.254.169.254/x.json' },
        b: { $ref: '#/$defs/id' },
        c: { type: 'string', pattern: '^(a+)+$' },
        pattern: { type: 'string' },
        $ref: { type: 'string' },
      },
    };
    expect(seen({ inputSchema }).inputSchema).toEqual({
      type: 'object',
      $defs: { id: { type: 'string', pattern: '^[a-z]+$' } },
      properties: {
        a: {},
        b: { $ref: '#/$defs/id' },
        c: { type: 'string' },
        pattern: { type: 'string' },
        $ref: { type: 'string' },
      },
    });
  });

  it('A15: asks for no header that repeats a secret', () => {
    const marked = { type: 'string', 'x-mcp-header': 'X' };
    const names = ['region', 'api_key', 'apiKey', 'password', 'accessToken', 'client-secret', 'credentials'];
    const nested = { type: 'object', properties: { user: marked } };
    const inputSchema = {
      type: 'object',
      properties: {
        ...Object.fromEntries(names.map((name) => [name, marked])),
        auth: nested,
        place: nested,
        'x-mcp-header': { type: 'string' },
      },
    };
    const { properties } = seen({ inputSchema }).inputSchema as { properties: Record<string, object> };
    const kept = names.filter((name) => 'x-mcp-header' in (properties[name] as object));
    expect(kept).toEqual(['region']);
    expect(properties.auth).toEqual({ type: 'object', properties: { user: { type: 'string' } } });
    expect(properties.place).toEqual(nested);
    expect(properties['x-mcp-header']).toEqual({ type: 'string' });
  });
});

describe('A25: a prompt and a resource template as clients see them', () => {
  it('hold what MCP gives them, cleaned, and no other member of the server’s', () => {
    const prompt = toolWith({
      title: 'Sum\u200bmary',
      description: 'Sums\u202e up.',
      icons: [{ src: 'https://evil.example/x' }],
      arguments: [
        { name: 'text', title: 'T\u200b', description: 'what\u{e0041}', required: true, extra: 1 },
        { name: 'tone' },
        { description: 'no name' },
        'odd',
      ],
    });
    expect(JSON.parse(renderPrompt(prompt, 'orders'))).toEqual({
      name: 'orders',
      title: 'Summary',
      description: 'Sums up.',
      arguments: [{ name: 'text', title: 'T', description: 'what', required: true }, { name: 'tone' }],
    });
    const template = renderTemplate({
      uriTemplate: 'docs://{name}',
      name: 'do\u200bcs',
      description: 'All\u001b[8m of them',
      mimeType: 'text/plain',
      icons: [],
      _meta: {},
    });
    expect(JSON.parse(template ?? '')).toEqual({
      uriTemplate: 'docs://{name}',
      name: 'docs',
      description: 'All of them',
      mimeType: 'text/plain',
    });
  });

  it('are ones that clients accept, whatever the types of their members', () => {
    expect(JSON.parse(renderPrompt(toolWith({ description: 4, arguments: 'x' }), 'p'))).toEqual({ name: 'p' });
    expect(JSON.parse(renderTemplate({ uriTemplate: 'x:{a}', name: 7, title: [] }) ?? '')).toEqual({
      uriTemplate: 'x:{a}',
      name: 'x:{a}',
    });
    expect(renderTemplate({ name: 'none' })).toBeUndefined();
  });
});
