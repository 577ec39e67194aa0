import { RemitError } from '../../domain/errors.ts';
import type { IssueRequest } from '../../seams/issuer.ts';
import type { AdminClient } from './postgres-admin.ts';
import { quoteName, quoteTable, quoteText, showTable } from './postgres-scope.ts';
import type { TablePrivilege, TableScope } from './table-scope.ts';

/** A table of the scope, as the server knows it. */
export interface FoundTable extends TableScope {
  readonly oid: number;
  /** Whether everyone may use its schema: then nothing needs granting there. */
  readonly isSchemaOpen: boolean;
  /** Sequences that `serial` columns draw from, quoted. */
  readonly sequences: readonly string[];
}

/** What the server says of itself and of the tables, in one round trip. */
export interface Survey {
  /** `server_version_num`, for example 180001. */
  readonly version: number;
  readonly isSuperuser: boolean;
  /** The server's clock, milliseconds since the epoch: `VALID UNTIL` is judged by it, not by ours. */
  readonly now: number;
  /** Quoted. */
  readonly database: string;
  /** Whether everyone may connect to the database. */
  readonly isDatabaseOpen: boolean;
  readonly tables: readonly FoundTable[];
}

interface SurveyRow {
  version: number;
  superuser: boolean;
  now: number;
  database: string;
  database_open: boolean;
  oid: number | null;
  schema_open: boolean | null;
  columns: string[];
  sequences: string[];
}

/** Tables, partitioned tables, views, materialised views, foreign tables. Never a system catalogue. */
const SURVEY = `
SELECT current_setting('server_version_num')::int AS version,
       current_setting('is_superuser') = 'on' AS superuser,
       floor(extract(epoch FROM clock_timestamp()) * 1000)::float8 AS now,
       quote_ident(current_database()) AS database,
       has_database_privilege('public', current_database(), 'CONNECT') AS database_open,
       c.oid::int8::float8 AS oid,
       has_schema_privilege('public', n.oid, 'USAGE') AS schema_open,
       ARRAY(SELECT a.attname::text FROM pg_attribute a
              WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
       ARRAY(SELECT quote_ident(sn.nspname) || '.' || quote_ident(s.relname)
               FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
               JOIN pg_namespace sn ON sn.oid = s.relnamespace
              WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
                AND d.refobjid = c.oid AND d.refobjsubid > 0 AND d.deptype = 'a') AS sequences
  FROM (SELECT) AS one
  LEFT JOIN unnest($1::text[], $2::text[]) WITH ORDINALITY AS wanted(schema_name, table_name, position) ON true
  LEFT JOIN pg_namespace n ON n.nspname = wanted.schema_name
       AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = wanted.table_name
       AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
 ORDER BY position`;

/** @throws `ERR_CREDENTIAL_ISSUE` naming the first table or column that does not exist */
export async function surveyTables(client: AdminClient, wanted: readonly TableScope[]): Promise<Survey> {
  const { rows } = await client.query<SurveyRow>(SURVEY, [
    wanted.map((table) => table.schema),
    wanted.map((table) => table.table),
  ]);
  const first = rows[0];
  if (first === undefined) throw new Error('the server gave no answer');
  const tables = wanted.map((table, index) => {
    const row = rows[index];
    if (row === undefined || row.oid === null) throw missing(`${showTable(table)} is not a table or view`);
    const unknown = table.columns?.find((column) => !row.columns.includes(column));
    if (unknown !== undefined) throw missing(`${showTable(table)} has no column ${quoteName(unknown)}`);
    return { ...table, oid: row.oid, isSchemaOpen: row.schema_open === true, sequences: row.sequences };
  });
  return {
    version: first.version,
    isSuperuser: first.superuser,
    now: first.now,
    database: first.database,
    isDatabaseOpen: first.database_open,
    tables,
  };
}

function missing(message: string): RemitError {
  return new RemitError('ERR_CREDENTIAL_ISSUE', message, {
    hint: 'Correct the resource in the task or its template. System catalogues are never granted.',
  });
}

/** How long a session of a leased role may do nothing, in milliseconds. The role can raise them: the reaper is the bound. */
export interface SessionTimeouts {
  readonly statement: number;
  readonly lock: number;
  readonly idleInTransaction: number;
}

/** Statements that make the role and everything it may do; none of them carries the password. */
export function roleStatements(
  request: IssueRequest,
  survey: Survey,
  privileges: readonly TablePrivilege[],
  verifier: string,
  validUntil: number,
  timeouts: SessionTimeouts,
): string {
  const role = quoteName(request.tag);
  const life = validUntil - survey.now;
  const settings: [name: string, ms: number, since: number][] = [
    ['statement_timeout', Math.min(timeouts.statement, life), 0],
    ['lock_timeout', Math.min(timeouts.lock, life), 0],
    ['idle_in_transaction_session_timeout', Math.min(timeouts.idleInTransaction, life), 0],
    ['idle_session_timeout', life, 140_000],
    ['transaction_timeout', life, 170_000],
  ];
  const note = `Remit lease ${request.lease}: task ${request.task} of agent ${request.agent} for ${request.connector}`;
  return [
    `CREATE ROLE ${role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT NOREPLICATION NOBYPASSRLS
       CONNECTION LIMIT 5 PASSWORD '${verifier}' VALID UNTIL '${new Date(validUntil).toISOString()}'`,
    `COMMENT ON ROLE ${role} IS ${quoteText(note)}`,
    ...settings
      .filter(([, , since]) => survey.version >= since)
      .map(([name, ms]) => `ALTER ROLE ${role} SET ${name} = '${Math.max(1, Math.floor(ms))}ms'`),
    ...grantStatements(role, survey, privileges),
    // Ending its sessions and dropping what it owns need its rights, and PostgreSQL 16 gives a creator only ADMIN.
    ...(survey.isSuperuser ? [] : [membershipStatement(request.tag, survey.version)]),
  ].join(';\n');
}

export function membershipStatement(tag: string, version: number): string {
  return `GRANT ${quoteName(tag)} TO CURRENT_USER${version >= 160_000 ? ' WITH INHERIT TRUE, SET FALSE' : ''}`;
}

function grantStatements(role: string, survey: Survey, privileges: readonly TablePrivilege[]): string[] {
  const closedSchemas = new Set(survey.tables.filter((table) => !table.isSchemaOpen).map((table) => table.schema));
  const tables = survey.tables.map((table) => {
    const columns = table.columns === undefined ? '' : ` (${table.columns.map(quoteName).join(', ')})`;
    return `GRANT ${privileges.map((name) => `${name}${columns}`).join(', ')} ON TABLE ${quoteTable(table)} TO ${role}`;
  });
  const sequences = privileges.includes('INSERT') ? survey.tables.flatMap((table) => table.sequences) : [];
  return [
    ...(survey.isDatabaseOpen ? [] : [`GRANT CONNECT ON DATABASE ${survey.database} TO ${role}`]),
    ...[...closedSchemas].map((schema) => `GRANT USAGE ON SCHEMA ${quoteName(schema)} TO ${role}`),
    ...tables,
    ...sequences.map((sequence) => `GRANT USAGE ON SEQUENCE ${sequence} TO ${role}`),
  ];
}

const UNGRANTED = `
SELECT t.name || ': ' || t.privilege AS lacking
  FROM unnest($2::oid[], $3::text[], $4::text[], $5::text[]) AS t(oid, name, col, privilege)
 WHERE NOT CASE WHEN t.col IS NULL THEN has_table_privilege($1::name, t.oid, t.privilege)
                ELSE has_column_privilege($1::name, t.oid, t.col, t.privilege) END
UNION ALL
SELECT 'schema ' || n.nspname || ': USAGE' FROM pg_namespace n
 WHERE n.oid IN (SELECT relnamespace FROM pg_class WHERE oid = ANY($2::oid[]))
   AND NOT has_schema_privilege($1::name, n.oid, 'USAGE')
UNION ALL
SELECT 'sequence ' || s.name || ': USAGE' FROM unnest($6::text[]) AS s(name)
 WHERE NOT has_sequence_privilege($1::name, s.name, 'USAGE')
UNION ALL
SELECT 'database: CONNECT' WHERE NOT has_database_privilege($1::name, current_database(), 'CONNECT')
 LIMIT 1`;

/**
 * GRANT by a role without grant option only warns: asked again, so that no lease goes out that opens less than it says.
 * @throws `ERR_CREDENTIAL_ISSUE`
 */
export async function assertGranted(
  client: AdminClient,
  tag: string,
  survey: Survey,
  privileges: readonly TablePrivilege[],
): Promise<void> {
  const wanted = survey.tables.flatMap((table) =>
    privileges.flatMap((privilege) =>
      (table.columns ?? [null]).map((column) => ({ oid: table.oid, name: showTable(table), column, privilege })),
    ),
  );
  const { rows } = await client.query<{ lacking: string }>(UNGRANTED, [
    tag,
    wanted.map((one) => one.oid),
    wanted.map((one) => one.name),
    wanted.map((one) => one.column),
    wanted.map((one) => one.privilege),
    privileges.includes('INSERT') ? survey.tables.flatMap((table) => table.sequences) : [],
  ]);
  const lacking = rows[0]?.lacking;
  if (lacking === undefined) return;
  throw new RemitError('ERR_CREDENTIAL_ISSUE', `the admin role cannot grant ${lacking}`, {
    hint: 'Let the admin role own it, or grant it that privilege WITH GRANT OPTION.',
  });
}
