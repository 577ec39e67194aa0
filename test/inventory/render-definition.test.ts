import { describe, expect, it } from 'vitest';
import { listTools } from '../../src/gateway/stages/list-tools.ts';
import { renderDefinition } from '../../src/inventory/render-definition.ts';
import { makeGateway, makePrincipal, makeTool } from '../support/fake-gateway-parts.ts';

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
    expect(schema).toEqual({ type: 'object', properties: { id: { type: 'string', description: 'the id[8m' } } });
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

  it('I1 one that cannot be written out costs no other tool its place in the list', async () => {
    let deep: unknown = 'end';
    for (let level = 0; level < 60_000; level += 1) deep = { deep };
    const fake = makeGateway({
      tools: [toolWith({ inputSchema: { type: 'object', deep } }, 'bomb'), makeTool('orders')],
    });
    const task = [...fake.tasks.values()][0] as NonNullable<ReturnType<typeof fake.tasks.get>>;
    const listed = JSON.parse(
      await listTools(fake.gateway, { principal: makePrincipal(task), task }, 'a'.repeat(16)),
    ) as {
      tools: { name: string }[];
    };
    expect(listed.tools.map(({ name }) => name)).toEqual(['shop__orders']);
    expect(fake.records[0]?.detail).toMatchObject({ shown: ['shop/orders'], withheld: 1 });
  });
});
