import { RemitError } from '../../domain/errors.ts';
import type { ActionClass } from '../../domain/tool.ts';

/**
 * What a task's resources and action classes come to in a database of tables. A resource is `schema.table` or
 * `schema.table(column, …)`. No SQL is parsed: a name is either plain or quoted, as the system has it, and whatever comes out is quoted
 * again before it meets a statement.
 */

export interface TableScope {
  /** Of MySQL and MariaDB: the database. */
  readonly schema: string;
  readonly table: string;
  /** Undefined: the whole table. */
  readonly columns: readonly string[] | undefined;
}

export type TablePrivilege = 'SELECT' | 'INSERT' | 'UPDATE';

/** How one system writes names. */
export interface TableNaming {
  /** For people: `PostgreSQL`. */
  readonly system: string;
  /** Sticky; the whole match is the name. */
  readonly plain: RegExp;
  /** Sticky; the first group is the name, with its quotes doubled. */
  readonly quoted: RegExp;
  readonly quote: string;
  /** Whether the system would cut it, or take it for another. */
  isUnfit(name: string): boolean;
  /** A resource, for hints. */
  readonly example: string;
  /** What a well-formed resource looks like. */
  readonly hint: string;
}

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

const MOST_TABLES = 200;

/** Union over the classes, in a fixed order. @throws `ERR_CREDENTIAL_ISSUE` when nothing remains to grant */
export function privilegesOn(system: string, classes: readonly ActionClass[]): TablePrivilege[] {
  const granted = new Set(classes.flatMap((actionClass) => PRIVILEGES[actionClass]));
  const privileges = (['SELECT', 'INSERT', 'UPDATE'] as const).filter((privilege) => granted.has(privilege));
  if (privileges.length > 0) return privileges;
  throw new RemitError('ERR_CREDENTIAL_ISSUE', `action classes ${classes.join(', ') || '(none)'} open no table`, {
    hint: `Only read, export, write, ticket and financial come to privileges on ${system} tables.`,
  });
}

/**
 * Tables of a task, each once. A table named both whole and by columns is whole.
 * @throws `ERR_CREDENTIAL_ISSUE` for none, for too many, and for one that is not well formed
 */
export function readTables(resources: readonly string[], naming: TableNaming): TableScope[] {
  if (resources.length === 0) {
    throw new RemitError('ERR_CREDENTIAL_ISSUE', 'the task names no resource of this connector', {
      hint: `Name its tables in the task or its template, for example ${naming.example}. Nothing is granted unnamed.`,
    });
  }
  const tables = new Map<string, TableScope>();
  for (const resource of resources) {
    const table = readTable(resource, naming);
    const key = JSON.stringify([table.schema, table.table]);
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

function readTable(resource: string, naming: TableNaming): TableScope {
  let at = 0;
  const malformed = () =>
    new RemitError(
      'ERR_CREDENTIAL_ISSUE',
      `${JSON.stringify(resource)} does not name a table (at character ${at + 1})`,
      { where: resource, hint: naming.hint },
    );
  const name = (): string => {
    for (const pattern of [naming.plain, naming.quoted]) {
      pattern.lastIndex = at;
      const match = pattern.exec(resource);
      if (match === null) continue;
      const { quote } = naming;
      const text = match[1] === undefined ? match[0] : match[1].replaceAll(quote + quote, quote);
      if (naming.isUnfit(text)) throw malformed();
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
export function describeTables(
  privileges: readonly TablePrivilege[],
  tables: readonly TableScope[],
  showName: (name: string) => string,
): string {
  const names = tables.map(({ schema, table, columns }) => {
    const shown = columns === undefined ? '' : `(${columns.map(showName).join(', ')})`;
    return `${showName(schema)}.${showName(table)}${shown}`;
  });
  return names.length === 0 ? 'no rights' : `${privileges.join(', ').toLowerCase()} on ${names.join(', ')}`;
}
