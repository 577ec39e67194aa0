import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/domain/json.ts';
import type { GovernedTool } from '../../src/domain/tool.ts';
import { decodeHeaderValue } from '../../src/gateway/edge/header-value.ts';
import { findParamMismatch, paramHeadersOf } from '../../src/gateway/edge/modern/param-headers.ts';
import { type FakeEdge, modernBody, modernHeaders, startEdge } from '../support/fake-edge-parts.ts';
import { makeTool } from '../support/fake-gateway-parts.ts';

function toolWith(properties: JsonObject, status: GovernedTool['status'] = 'described'): GovernedTool {
  const tool = makeTool('orders', status);
  return {
    ...tool,
    definition: { ...tool.definition, raw: { name: 'orders', inputSchema: { type: 'object', properties } } },
  };
}

const TOOL = toolWith({
  region: { type: 'string', 'x-mcp-header': 'Region' },
  amount: { type: 'number', 'x-mcp-header': 'Amount' },
  dry: { type: 'boolean', 'x-mcp-header': 'Dry-Run' },
  plain: { type: 'string' },
  nested: { type: 'object', properties: { id: { type: 'integer', 'x-mcp-header': 'Nested-Id' } } },
  list: { type: 'array', items: { type: 'object', properties: { id: { type: 'string', 'x-mcp-header': 'In-List' } } } },
});
const base64 = (text: string): string => `=?base64?${Buffer.from(text).toString('base64')}?=`;

let edge: FakeEdge | undefined;
afterEach(() => edge?.close());

async function call(args: unknown, headers: string[], tool = TOOL, path = '/mcp') {
  edge = await startEdge({ tools: [tool] });
  const name = path === '/mcp' ? 'shop__orders' : 'orders';
  const body = modernBody('tools/call', { name, ...(args !== undefined && { arguments: args }) });
  return edge.send(body, { path, headers: modernHeaders('tools/call', 'Mcp-Name', name, ...headers) });
}

describe('A13 fault 35: Mcp-Param headers that do not say what the arguments say: 400 and −32020', () => {
  it.each([
    ['missing', { region: 'eu' }, []],
    ['another text', { region: 'eu' }, ['Mcp-Param-Region', 'us']],
    ['another case', { region: 'eu' }, ['Mcp-Param-Region', 'EU']],
    ['base64 without padding', { region: 'Hello' }, ['Mcp-Param-Region', '=?base64?SGVsbG8?=']],
    ['base64 with other characters', { region: 'Hello' }, ['Mcp-Param-Region', '=?base64?SGVs!!!bG8=?=']],
    ['another number', { amount: 7 }, ['Mcp-Param-Amount', '8']],
    ['a number in another notation', { amount: 7 }, ['Mcp-Param-Amount', '0x7']],
    ['a text for a number', { amount: 7 }, ['Mcp-Param-Amount', '']],
    ['a missing number', { amount: 0 }, []],
    ['another truth', { dry: true }, ['Mcp-Param-Dry-Run', 'false']],
    ['a missing truth', { dry: false }, []],
    ['truth in another case', { dry: true }, ['Mcp-Param-Dry-Run', 'True']],
    ['an argument that is not given', {}, ['Mcp-Param-Region', 'eu']],
    ['arguments that are not given', undefined, ['Mcp-Param-Region', 'eu']],
    ['an argument of null', { region: null }, ['Mcp-Param-Region', 'null']],
    ['an argument that is a list', { region: ['eu'] }, ['Mcp-Param-Region', 'eu']],
    ['a nested argument', { nested: { id: 5 } }, []],
  ])('%s', async (_, args, headers) => {
    expect(await call(args, headers)).toMatchObject({ status: 400, body: { id: 1, error: { code: -32020 } } });
    expect(edge?.handled).toEqual([]);
  });

  it('on the connector’s own path too, under the tool’s own name', async () => {
    const answer = await call({ region: 'eu' }, ['Mcp-Param-Region', 'us'], TOOL, '/mcp/shop');
    expect(answer).toMatchObject({ status: 400, body: { error: { code: -32020 } } });
  });
});

describe('headers that agree', () => {
  it.each([
    ['none for none', {}, []],
    ['none for null', { region: null }, []],
    ['text', { region: 'eu' }, ['mcp-param-region', 'eu']],
    ['text in base64', { region: 'Hello' }, ['Mcp-Param-Region', base64('Hello')]],
    ['text like base64', { region: 'SGVsbG8=' }, ['Mcp-Param-Region', 'SGVsbG8=']],
    ['text like base64 without its end', { region: '=?base64?SGVsbG8=' }, ['Mcp-Param-Region', '=?base64?SGVsbG8=']],
    ['text with a line end', { region: 'a\r\nb' }, ['Mcp-Param-Region', base64('a\r\nb')]],
    ['a number', { amount: 1.5 }, ['Mcp-Param-Amount', '1.5']],
    ['a number written otherwise', { amount: 42 }, ['Mcp-Param-Amount', '42.0']],
    ['a truth', { dry: false }, ['Mcp-Param-Dry-Run', 'false']],
    ['a nested argument', { nested: { id: 5 } }, ['Mcp-Param-Nested-Id', '5']],
    [
      'one that nobody declared',
      { plain: 'a' },
      ['Mcp-Param-Plain', 'b', 'Mcp-Param-In-List', 'c', 'Mcp-Param-Other', '=?base64?!?='],
    ],
  ])('%s', async (_, args, headers) => {
    expect((await call(args, headers)).status).toBe(200);
    expect(edge?.handled[0]?.params.arguments).toEqual(args);
  });

  it('nothing is said of a tool that nobody may see', async () => {
    const hidden = toolWith({ region: { type: 'string', 'x-mcp-header': 'Region' } }, 'quarantined');
    expect((await call({ region: 'eu' }, [], hidden)).status).toBe(200);
  });
});

it('a definition whose headers are ambiguous or unusable declares none', () => {
  const declared = (properties: JsonObject) =>
    paramHeadersOf(toolWith(properties).definition).map(({ header }) => header);
  expect(declared({ a: { 'x-mcp-header': 'X' }, b: { 'x-mcp-header': 'x' } })).toEqual([]);
  expect(declared({ a: { 'x-mcp-header': 'X\r\nHost' }, b: { 'x-mcp-header': '' }, c: { 'x-mcp-header': 5 } })).toEqual(
    [],
  );
  expect(declared({ a: { 'x-mcp-header': 'X' }, b: { 'x-mcp-header': 'Y' } })).toEqual(['mcp-param-x', 'mcp-param-y']);
  let deep: JsonObject = { 'x-mcp-header': 'Deep' };
  for (let level = 0; level < 100; level++) deep = { properties: { a: deep } };
  expect(declared({ a: deep })).toEqual([]);
});

it('A13: whatever the text, base64 of it is it, and only it', () => {
  const declared = [{ name: 'X', header: 'mcp-param-x', path: ['x'], isSecret: false }];
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' }), (text, other) => {
      expect(decodeHeaderValue(base64(text))).toBe(text);
      const mismatch = findParamMismatch(declared, { x: text }, { 'mcp-param-x': base64(other) });
      expect(mismatch === undefined).toBe(text === other);
    }),
  );
});

it('A15: a header that would repeat a secret is not asked for; one that is sent all the same must tell the truth', () => {
  const declared = [{ name: 'Key', header: 'mcp-param-key', path: ['apiKey'], isSecret: true }];
  expect(findParamMismatch(declared, { apiKey: 'sk-1' }, {})).toBeUndefined();
  expect(findParamMismatch(declared, { apiKey: 'sk-1' }, { 'mcp-param-key': 'sk-2' })).toContain('differs');
});
