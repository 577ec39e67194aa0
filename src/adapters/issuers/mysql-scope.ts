import { RemitError } from '../../domain/errors.ts';
import type { ActionClass } from '../../domain/tool.ts';
import {
  describeTables,
  privilegesOn,
  readTables,
  type TableNaming,
  type TablePrivilege,
  type TableScope,
} from './table-scope.ts';

const MOST_NAME_CHARACTERS = 64;

/**
 * A resource is `database.table` or `database.table(column, …)`. Names that are not quoted may not be digits alone, and a quoted one may hold
 * anything of the Basic Multilingual Plane but NUL, and not end in a space (MySQL manual section 9.2, MariaDB "Identifier Names").
 */
const NAMING: TableNaming = {
  system: 'MySQL and MariaDB',
  plain: /(?![0-9]+(?:[.(,) ]|$))[A-Za-z0-9_$]+/y,
  // biome-ignore lint/suspicious/noControlCharactersInRegex: names cannot hold NUL
  quoted: /`((?:[^`\x00]|``)+)`/y,
  quote: '`',
  isUnfit: (name) => name.length > MOST_NAME_CHARACTERS || /[\ud800-\udfff]|\s$/.test(name),
  example: 'shop_db:shop.orders',
  hint: 'Write database.table or database.table(column, …); a name of other characters than A–Z a–z 0–9 _ $ in backticks.',
};

/** The server's own. They hold accounts, or tell of all of them; an admin may well be able to grant on them. */
const SYSTEM = new Set(['mysql', 'information_schema', 'performance_schema', 'sys']);

/** @throws `ERR_CREDENTIAL_ISSUE` when nothing remains to grant */
export function mysqlPrivileges(classes: readonly ActionClass[]): TablePrivilege[] {
  return privilegesOn(NAMING.system, classes);
}

/** @throws `ERR_CREDENTIAL_ISSUE` for none, for too many, for one that is not well formed, and for one of the server's own */
export function mysqlTables(resources: readonly string[]): TableScope[] {
  const tables = readTables(resources, NAMING);
  const own = tables.find(({ schema }) => SYSTEM.has(schema.toLowerCase()));
  if (own === undefined) return tables;
  throw new RemitError('ERR_CREDENTIAL_ISSUE', `${own.schema} is a database of the server's own: never granted`, {
    where: `${own.schema}.${own.table}`,
    hint: 'Take the resource out of the task or its template.',
  });
}

/** For people: `select, insert on shop.orders, shop.customers(id)`. */
export function describeMysqlScope(privileges: readonly TablePrivilege[], tables: readonly TableScope[]): string {
  return describeTables(privileges, tables, (name) => (/^[A-Za-z0-9_$]+$/.test(name) ? name : quoteIdentifier(name)));
}

/** Whatever `ANSI_QUOTES` is. */
export function quoteIdentifier(name: string): string {
  return `\`${name.replaceAll('`', '``')}\``;
}

/** A text, under `NO_BACKSLASH_ESCAPES`, which every admin session sets. */
export function quoteString(text: string): string {
  return `'${text.replaceAll('\0', '').replaceAll("'", "''")}'`;
}

/** Table by table: rights on a whole database take `_` and `%` in its name for patterns, and these do not. */
export function grantStatement(table: TableScope, privileges: readonly TablePrivilege[], account: string): string {
  const columns = table.columns === undefined ? '' : ` (${table.columns.map(quoteIdentifier).join(', ')})`;
  const rights = privileges.map((privilege) => `${privilege}${columns}`).join(', ');
  return `GRANT ${rights} ON TABLE ${quoteIdentifier(table.schema)}.${quoteIdentifier(table.table)} TO ${account}`;
}
