import type { ActionClass } from '../../domain/tool.ts';
import {
  describeTables,
  privilegesOn,
  readTables,
  type TableNaming,
  type TablePrivilege,
  type TableScope,
} from './table-scope.ts';

/** `NAMEDATALEN` − 1: PostgreSQL cuts longer names silently, and then they mean another object. */
const MOST_NAME_BYTES = 63;

/** A plain name is `a–z 0–9 _ $`, as PostgreSQL folds it. */
const NAMING: TableNaming = {
  system: 'PostgreSQL',
  plain: /[a-z_][a-z0-9_$]*/y,
  // biome-ignore lint/suspicious/noControlCharactersInRegex: PostgreSQL names cannot hold NUL
  quoted: /"((?:[^"\x00]|"")+)"/y,
  quote: '"',
  isUnfit: (name) => Buffer.byteLength(name) > MOST_NAME_BYTES || /\p{Surrogate}/u.test(name),
  example: 'shop_db:public.orders',
  hint: 'Write schema.table or schema.table(column, …): lower case, or in double quotes.',
};

/** @throws `ERR_CREDENTIAL_ISSUE` when nothing remains to grant */
export function privilegesOf(classes: readonly ActionClass[]): TablePrivilege[] {
  return privilegesOn(NAMING.system, classes);
}

/** @throws `ERR_CREDENTIAL_ISSUE` for none, for too many, and for one that is not well formed */
export function parseTables(resources: readonly string[]): TableScope[] {
  return readTables(resources, NAMING);
}

/** For people: `select, insert on public.orders, public.customers(id)`. */
export function describeScope(privileges: readonly TablePrivilege[], tables: readonly TableScope[]): string {
  return describeTables(privileges, tables, showName);
}

export function showTable(table: { schema: string; table: string }): string {
  return `${showName(table.schema)}.${showName(table.table)}`;
}

function showName(name: string): string {
  return /^[a-z_][a-z0-9_$]*$/.test(name) ? name : quoteName(name);
}

/** Quotes an identifier (PostgreSQL manual section 4.1.1). */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

export function quoteTable(table: { schema: string; table: string }): string {
  return `${quoteName(table.schema)}.${quoteName(table.table)}`;
}

/** Quotes a text, whatever `standard_conforming_strings` is (PostgreSQL manual section 4.1.2.2). */
export function quoteText(text: string): string {
  return `E'${text.replaceAll('\0', '').replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;
}
