import { RemitError } from '../../domain/errors.ts';
import type { ActionClass } from '../../domain/tool.ts';

/**
 * What a task's resources and action classes come to in PostgreSQL: tables, columns, privileges.
 * A resource is `schema.table` or `schema.table(column, …)`. No SQL is parsed: a name is either plain
 * (`a–z 0–9 _ $`, as PostgreSQL folds it) or in double quotes with `""` for a quote inside, and whatever comes out is
 * quoted again before it meets a statement.
 */

export interface TableScope {
  readonly schema: string;
  readonly table: string;
  /** Undefined: the whole table. */
  readonly columns: readonly string[] | undefined;
}

export type TablePrivilege = 'SELECT' | 'INSERT' | 'UPDATE';

/**
 * Privileges per action class. A class that changes data may add and change rows and read what it changes; none may
 * delete or truncate, and `code`, `privilege` and `secret` open no table at all.
 */
const PRIVILEGES: Readonly<Record<ActionClass, readonly TablePrivilege[]>> = {
  read: ['SELECT'],
  export: ['SELECT'],
  write: ['SELECT', 'INSERT', 'UPDATE'],
  ticket: ['SELECT', 'INSERT', 'UPDATE'],
  financial: ['SELECT', 'INSERT', 'UPDATE'],
  code: [],
  privilege: [],
  secret: [],
};

/** `NAMEDATALEN` − 1: PostgreSQL cuts longer names silently, and then they mean another object. */
const MOST_NAME_BYTES = 63;
const MOST_TABLES = 200;
const PLAIN_NAME = /[a-z_][a-z0-9_$]*/y;
// biome-ignore lint/suspicious/noControlCharactersInRegex: PostgreSQL names cannot hold NUL
const QUOTED_NAME = /"((?:[^"\x00]|"")+)"/y;

/** Union over the classes, in a fixed order. @throws `ERR_CREDENTIAL_ISSUE` when nothing remains to grant */
export function privilegesOf(classes: readonly ActionClass[]): TablePrivilege[] {
  const granted = new Set(classes.flatMap((actionClass) => PRIVILEGES[actionClass]));
  const privileges = (['SELECT', 'INSERT', 'UPDATE'] as const).filter((privilege) => granted.has(privilege));
  if (privileges.length > 0) return privileges;
  throw new RemitError('ERR_CREDENTIAL_ISSUE', `action classes ${classes.join(', ') || '(none)'} open no table`, {
    hint: 'Only read, export, write, ticket and financial come to privileges on PostgreSQL tables.',
  });
}

/**
 * Tables of a task, each once. A table named both whole and by columns is whole.
 * @throws `ERR_CREDENTIAL_ISSUE` for none, for too many, and for one that is not well formed
 */
export function parseTables(resources: readonly string[]): TableScope[] {
  if (resources.length === 0) {
    throw new RemitError('ERR_CREDENTIAL_ISSUE', 'the task names no resource of this connector', {
      hint: 'Name its tables in the task or its template, for example shop_db:public.orders. Nothing is granted unnamed.',
    });
  }
  const tables = new Map<string, TableScope>();
  for (const resource of resources) {
    const table = parseTable(resource);
    const key = quoteTable(table);
    const known = tables.get(key);
    tables.set(key, known === undefined ? table : merge(known, table));
  }
  if (tables.size > MOST_TABLES) {
    throw new RemitError('ERR_CREDENTIAL_ISSUE', `the task names ${tables.size} tables; the most is ${MOST_TABLES}`);
  }
  return [...tables.values()];
}

function merge(one: TableScope, other: TableScope): TableScope {
  if (one.columns === undefined || other.columns === undefined) return { ...one, columns: undefined };
  return { ...one, columns: [...new Set([...one.columns, ...other.columns])] };
}

function parseTable(resource: string): TableScope {
  let at = 0;
  const malformed = () =>
    new RemitError(
      'ERR_CREDENTIAL_ISSUE',
      `${JSON.stringify(resource)} does not name a table (at character ${at + 1})`,
      {
        where: resource,
        hint: 'Write schema.table or schema.table(column, …): lower case, or in double quotes.',
      },
    );
  const name = (): string => {
    for (const pattern of [PLAIN_NAME, QUOTED_NAME]) {
      pattern.lastIndex = at;
      const match = pattern.exec(resource);
      if (match === null) continue;
      const text = match[1] === undefined ? match[0] : match[1].replaceAll('""', '"');
      if (Buffer.byteLength(text) > MOST_NAME_BYTES || /\p{Surrogate}/u.test(text)) throw malformed();
      at = pattern.lastIndex;
      return text;
    }
    throw malformed();
  };
  const expect = (character: string): void => {
    if (resource[at] !== character) throw malformed();
    at++;
  };
  const skipSpaces = (): void => {
    while (resource[at] === ' ') at++;
  };

  const schema = name();
  expect('.');
  const table = name();
  if (at === resource.length) return { schema, table, columns: undefined };
  expect('(');
  const columns = new Set<string>();
  for (;;) {
    skipSpaces();
    columns.add(name());
    skipSpaces();
    if (resource[at] !== ',') break;
    at++;
  }
  expect(')');
  if (at !== resource.length) throw malformed();
  return { schema, table, columns: [...columns] };
}

/** For people: `select, insert on public.orders, public.customers(id)`. */
export function describeScope(privileges: readonly TablePrivilege[], tables: readonly TableScope[]): string {
  const names = tables.map((table) => {
    const columns = table.columns === undefined ? '' : `(${table.columns.map(showName).join(', ')})`;
    return `${showTable(table)}${columns}`;
  });
  return names.length === 0 ? 'no rights' : `${privileges.join(', ').toLowerCase()} on ${names.join(', ')}`;
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
