import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  describeScope,
  parseTables,
  privilegesOf,
  quoteName,
  quoteTable,
  quoteText,
  showTable,
} from '../../src/adapters/issuers/postgres-scope.ts';
import { ACTION_CLASSES } from '../../src/domain/tool.ts';

describe('tables of a scope', () => {
  it.each([
    ['public.orders', { schema: 'public', table: 'orders', columns: undefined }],
    ['public.orders(id)', { schema: 'public', table: 'orders', columns: ['id'] }],
    ['public.orders(id, total,id)', { schema: 'public', table: 'orders', columns: ['id', 'total'] }],
    ['public.orders( id , total )', { schema: 'public', table: 'orders', columns: ['id', 'total'] }],
    ['"Sales Dept"."Order ""X"""("Id")', { schema: 'Sales Dept', table: 'Order "X"', columns: ['Id'] }],
    ['_a.b$1', { schema: '_a', table: 'b$1', columns: undefined }],
    ['public."orders; DROP TABLE x"', { schema: 'public', table: 'orders; DROP TABLE x', columns: undefined }],
  ])('%s is read', (text, table) => {
    expect(parseTables([text])).toEqual([table]);
  });

  it.each([
    '',
    'orders',
    'public.',
    '.orders',
    'public.*',
    'public.orders.id',
    'Public.orders',
    'public.Orders',
    'public.orders()',
    'public.orders(id',
    'public.orders(id,)',
    'public.orders(id)x',
    'public.orders (id)',
    'public.orders;',
    'public.orders; DROP TABLE orders',
    'public.orders--',
    'public.orders TO PUBLIC',
    'public."orders',
    'public.""',
    'public."a\0b"',
    'public."a\ud800"',
    'public.1orders',
    ' public.orders',
    'public.orders ',
    'public.orders\n',
    'public . orders',
    'púb.orders',
    `public.${'a'.repeat(64)}`,
    `public."${'é'.repeat(32)}"`,
  ])('%j is refused', (text) => {
    expect(() => parseTables([text])).toThrow(expect.objectContaining({ code: 'ERR_CREDENTIAL_ISSUE', where: text }));
  });

  it('no resource is refused: nothing is never everything', () => {
    expect(() => parseTables([])).toThrow(expect.objectContaining({ code: 'ERR_CREDENTIAL_ISSUE' }));
  });

  it('are merged when named twice, and the whole table wins', () => {
    expect(parseTables(['s.t(a)', 's."t"(b, a)'])).toEqual([{ schema: 's', table: 't', columns: ['a', 'b'] }]);
    expect(parseTables(['s.t(a)', 's.t'])).toEqual([{ schema: 's', table: 't', columns: undefined }]);
    expect(parseTables(['s.t', 's.t(a)'])).toEqual([{ schema: 's', table: 't', columns: undefined }]);
  });

  it('are bounded in number', () => {
    const many = Array.from({ length: 201 }, (_, index) => `s.t${index}`);
    expect(() => parseTables(many)).toThrow(expect.objectContaining({ code: 'ERR_CREDENTIAL_ISSUE' }));
  });

  it('any name that PostgreSQL takes goes through quoting unchanged', () => {
    // One grapheme may be many bytes, and a name has 63 at most.
    const names = fc
      .string({ minLength: 1, maxLength: 15, unit: 'grapheme' })
      .filter((name) => !name.includes('\0') && Buffer.byteLength(name) <= 63);
    fc.assert(
      fc.property(names, names, (schema, table) => {
        const quoted = quoteTable({ schema, table });
        expect(parseTables([quoted])).toEqual([{ schema, table, columns: undefined }]);
        expect(parseTables([showTable({ schema, table })])).toEqual([{ schema, table, columns: undefined }]);
      }),
    );
  });

  it('quoted text has no way out', () => {
    expect(quoteText(`it's \\ a\0`)).toBe(`E'it''s \\\\ a'`);
    expect(quoteName('a"; DROP ROLE x; --')).toBe('"a""; DROP ROLE x; --"');
  });
});

describe('privileges of a scope', () => {
  it.each([
    [['read'], ['SELECT']],
    [['export'], ['SELECT']],
    [['write'], ['SELECT', 'INSERT', 'UPDATE']],
    [
      ['financial', 'read'],
      ['SELECT', 'INSERT', 'UPDATE'],
    ],
    [['ticket'], ['SELECT', 'INSERT', 'UPDATE']],
    [['secret', 'read'], ['SELECT']],
  ] as const)('%j comes to %j', (classes, privileges) => {
    expect(privilegesOf(classes)).toEqual(privileges);
  });

  it.each([[['code']], [['privilege', 'secret']], [[]]] as const)('%j opens nothing and is refused', (classes) => {
    expect(() => privilegesOf(classes)).toThrow(expect.objectContaining({ code: 'ERR_CREDENTIAL_ISSUE' }));
  });

  it('no class may delete or truncate', () => {
    expect(privilegesOf(ACTION_CLASSES)).toEqual(['SELECT', 'INSERT', 'UPDATE']);
  });

  it('are shown with their tables', () => {
    expect(describeScope(['SELECT'], parseTables(['public.orders', 'public.customers(id, name)', 's."T"']))).toBe(
      'select on public.orders, public.customers(id, name), s."T"',
    );
  });
});
