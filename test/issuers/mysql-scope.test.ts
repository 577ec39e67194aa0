import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nativePasswordHash } from '../../src/adapters/issuers/mysql-account.ts';
import {
  describeMysqlScope,
  grantStatement,
  mysqlPrivileges,
  mysqlTables,
  quoteIdentifier,
  quoteString,
} from '../../src/adapters/issuers/mysql-scope.ts';

describe('tables of a MySQL scope', () => {
  it.each([
    ['shop.orders', { schema: 'shop', table: 'orders', columns: undefined }],
    ['Shop.Orders(Id, total,Id)', { schema: 'Shop', table: 'Orders', columns: ['Id', 'total'] }],
    ['1a.b$1', { schema: '1a', table: 'b$1', columns: undefined }],
    ['`a.b`.`c ``d```(`x,y`)', { schema: 'a.b', table: 'c `d`', columns: ['x,y'] }],
    ['shop.`orders; DROP TABLE x`', { schema: 'shop', table: 'orders; DROP TABLE x', columns: undefined }],
  ])('%s is read', (text, table) => {
    expect(mysqlTables([text])).toEqual([table]);
  });

  it.each([
    '',
    'orders',
    'shop.',
    'shop.*',
    '*.*',
    'shop.%',
    '1.orders',
    'shop.12',
    'shop.12(id)',
    'shop.orders()',
    'shop.orders(id',
    'shop.orders;',
    'shop.orders TO root',
    'shop."orders"',
    'shop.`orders',
    'shop.``',
    'shop.`a `',
    'shop.`a\0b`',
    'shop.`😀`',
    `shop.${'a'.repeat(65)}`,
  ])('%j is refused', (text) => {
    expect(() => mysqlTables([text])).toThrow(expect.objectContaining({ code: 'ERR_CREDENTIAL_ISSUE', where: text }));
  });

  it.each([
    'mysql.user',
    'MySQL.global_priv',
    '`mysql`.`user`',
    'information_schema.tables',
    'sys.session',
    'performance_schema.t',
  ])('%s is the server’s own, and never granted', (text) => {
    expect(() => mysqlTables([text])).toThrow(/server's own/);
  });

  it('is whole where it is named whole and by columns', () => {
    expect(mysqlTables(['shop.orders(id)', 'shop.orders'])).toEqual([
      { schema: 'shop', table: 'orders', columns: undefined },
    ]);
  });

  it('never grants a right to remove, and none for classes that open no table', () => {
    expect(mysqlPrivileges(['read', 'write', 'code'])).toEqual(['SELECT', 'INSERT', 'UPDATE']);
    expect(() => mysqlPrivileges(['code', 'privilege', 'secret'])).toThrow(/open no table/);
  });

  it('is granted table by table, every name quoted, column rights with their columns', () => {
    const [table] = mysqlTables(['`a``b`.t(`x`,y)']);
    expect(table).toBeDefined();
    if (table === undefined) return;
    expect(grantStatement(table, ['SELECT', 'INSERT'], "'remit_x'@'%'")).toBe(
      "GRANT SELECT (`x`, `y`), INSERT (`x`, `y`) ON TABLE `a``b`.`t` TO 'remit_x'@'%'",
    );
    expect(describeMysqlScope(['SELECT'], [table])).toBe('select on `a``b`.t(x, y)');
    expect(describeMysqlScope([], [])).toBe('no rights');
  });

  it('quotes whatever a name or a text holds', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const inner = (quoted: string) => quoted.slice(1, -1);
        expect(inner(quoteIdentifier(text)).replaceAll('``', '')).not.toContain('`');
        expect(inner(quoteString(text)).replaceAll("''", '')).not.toContain("'");
        expect(quoteString(text)).not.toContain('\0');
      }),
    );
  });
});

describe('what MariaDB keeps of a password', () => {
  it('is the one that its PASSWORD() gives', () => {
    // MariaDB manual, PASSWORD(): the value for 'mariadb'-style 4.1 hashes is * and SHA1(SHA1(x)) in upper-case hex.
    expect(nativePasswordHash('password')).toBe('*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19');
    const once = createHash('sha1').update('x').digest();
    expect(nativePasswordHash('x')).toBe(`*${createHash('sha1').update(once).digest('hex').toUpperCase()}`);
  });
});
