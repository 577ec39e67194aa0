import { Pool } from 'pg';
import { messageOf, RemitError } from '../../domain/errors.ts';
import type { OpenRecord, RecordRows } from '../../seams/record-rows.ts';
import { LOOKS_FOR_SERVER } from '../postgres/lost-peer.ts';
import { placeOfUrl, WRITE_THE_URL } from '../postgres/place-of-url.ts';
import { cleanText, cleanValue } from './clean-text.ts';

export interface PostgresRowsOptions {
  /** `postgres://user:password@host:port/database?sslmode=…`. Holds a secret: never shown. */
  readonly url: string;
  /** Longest wait for a connection. Default 3,000 ms. */
  readonly connectMs?: number;
  /** Longest run of one statement. Default 10,000 ms. */
  readonly statementMs?: number;
}

/** Of gateways that come at once, one makes it. */
const MADE = `select pg_advisory_xact_lock(1919251316);
create table if not exists remit_records (
  journal text not null,
  position bigint not null,
  node text not null,
  time timestamptz not null,
  type text not null,
  tenant text not null,
  trace text, span text, human text, agent text, actors text[], workload text,
  connector text, tool text, task text, lease text,
  detail jsonb not null,
  primary key (journal, position)
);
create index if not exists remit_records_time on remit_records (time);
create index if not exists remit_records_task on remit_records (task, time) where task is not null;
create index if not exists remit_records_type on remit_records (type, time);`;

const COLUMNS = ['trace', 'span', 'human', 'agent', 'workload', 'connector', 'tool', 'task', 'lease'] as const;

/** One statement, whatever the number of rows: each column is one array. Actors are text of an array, since arrays of arrays have one length in all. */
const ADD = `insert into remit_records
    (journal, position, node, time, type, tenant, actors, detail, ${COLUMNS.join(', ')})
  select $1, position, $2, time, type, tenant,
    case when actors is null then null else array(select jsonb_array_elements_text(actors::jsonb)) end, detail::jsonb, ${COLUMNS.join(', ')}
  from unnest($3::bigint[], $4::timestamptz[], $5::text[], $6::text[], $7::text[], $8::text[],
    ${COLUMNS.map((_, index) => `$${index + 9}::text[]`).join(', ')})
    as given (position, time, type, tenant, actors, detail, ${COLUMNS.join(', ')})
  on conflict (journal, position) do nothing`;

/** Records in a table of a PostgreSQL, which may be the store’s or any other; connections of its own, so that it waits for nothing and nothing for it. */
export function createPostgresRows({ url, connectMs = 3_000, statementMs = 10_000 }: PostgresRowsOptions): RecordRows {
  const where = describe(url);
  const pool = new Pool({
    connectionString: url,
    application_name: 'remit records',
    max: 1,
    connectionTimeoutMillis: connectMs,
    idleTimeoutMillis: 30_000,
    statement_timeout: statementMs,
    query_timeout: statementMs + 1_000,
    allowExitOnIdle: true,
    ...LOOKS_FOR_SERVER,
  });
  // A connection that breaks while it is idle, or lent, would end the process.
  pool.on('connect', (client) => client.on('error', () => {}));
  pool.on('error', () => {});
  let isMade = false;

  async function query(text: string, values?: unknown[]): Promise<{ rows: Record<string, unknown>[] }> {
    try {
      return await pool.query(text, values);
    } catch (cause) {
      throw new RemitError('ERR_ROWS', `records could not be written to PostgreSQL: ${messageOf(cause)}`, {
        where,
        hint: 'It is tried again by itself, and no call waits for it. Look at the server, and at the rights of the role: it makes and fills remit_records.',
        cause,
      });
    }
  }

  const insert = (journal: string, node: string, records: readonly OpenRecord[]): Promise<unknown> =>
    query(ADD, [
      journal,
      node,
      records.map(({ seq }) => seq),
      records.map(({ time }) => time),
      records.map(({ type }) => type),
      records.map(({ tenant }) => tenant),
      records.map(({ actors }) => (actors === undefined ? null : JSON.stringify(cleanValue(actors)))),
      records.map(({ detail }) => JSON.stringify(cleanValue(detail))),
      ...COLUMNS.map((name) => records.map((record) => textOf(name === 'human' ? record.user : record[name]))),
    ]);

  return {
    name: where,

    async next(journal) {
      // A role that may not make it need not, where somebody else has.
      if (!isMade) {
        const { rows } = await query("select to_regclass('remit_records') as made");
        if (rows[0]?.made === null) await query(MADE);
      }
      isMade = true;
      const { rows: found } = await query('select max(position) as last from remit_records where journal = $1', [
        journal,
      ]);
      const last = found[0]?.last;
      return last === null || last === undefined ? 0 : Number(last) + 1;
    },

    async add(journal, node, records) {
      try {
        await insert(journal, node, records);
      } catch (error) {
        // Something in the batch is no value of PostgreSQL's: of that record a row says so, and the others are as they are.
        if (!isData(error) || records.length === 0) throw error;
        for (const record of records) {
          await insert(journal, node, [record]).catch(async (fault: unknown) => {
            if (!isData(fault)) throw fault;
            const { seq, time, type, tenant } = record;
            await insert(journal, node, [{ seq, time, type, tenant, detail: { notTaken: codeOf(fault) } }]);
          });
        }
      }
    },

    close: () => pool.end(),
  };
}

const textOf = (value: string | undefined): string | null => (value === undefined ? null : cleanText(value));

const codeOf = (error: unknown): string => {
  const { code } = ((error as RemitError).cause ?? {}) as { code?: unknown };
  return typeof code === 'string' ? code : '';
};

/** SQLSTATE class 22: data exception. */
const isData = (error: unknown): boolean => codeOf(error).startsWith('22');

/** Host, port and database, without user and password. */
function describe(text: string): string {
  const place = placeOfUrl(text);
  if (place !== undefined) return place;
  throw new RemitError('ERR_CONFIG_INVALID', 'the address of the PostgreSQL for records is not a postgres:// URL', {
    where: 'journal.ship.postgres.urlVariable',
    hint: WRITE_THE_URL,
  });
}
