import { setTimeout as delay } from 'node:timers/promises';
import { type AdminClient, inTransaction, isConflict, isLockTimeout, type PostgresAdmin } from './postgres-admin.ts';
import { membershipStatement } from './postgres-grant.ts';
import { quoteName } from './postgres-scope.ts';

const POLL_MS = 10;
/** Short: whoever holds up our ALTER ROLE is ended next, and then it is tried again. */
const ALTER_LOCK_MS = 200;
/** Short: issues and other revokes wait their turn meanwhile. */
const DROP_LOCK_MS = 1_000;

interface FoundRole {
  oid: number;
  superuser: boolean;
  /** Whether the admin has its rights. */
  usable: boolean;
  /** Whether the admin is a superuser. */
  asSuperuser: boolean;
  version: number;
}

/**
 * Ends a leased role for good, knowing its name only: no new login, no session, nothing owned, no role. Each step may
 * find its work done already. After the second step nobody can use the credential, whatever becomes of the others.
 */
export async function revokeRole(admin: PostgresAdmin, tag: string, signal: AbortSignal): Promise<void> {
  await admin.run(async (client) => {
    const role = (await findRole(client, tag)) ?? (await findLateRole(client, tag));
    if (role === undefined) return;
    if (role.superuser) throw new Error(`${tag} is a superuser: that is none of ours`);
    try {
      if (!role.usable) await admin.serialise(() => client.query(membershipStatement(tag, role.version)));
      await shutOut(client, tag, role.oid, signal);
      await dropRole(admin, client, tag, role, signal);
    } catch (error) {
      // Another process (`remit reap`) may have been quicker.
      if (signal.aborted || (await findRole(client, tag)) !== undefined) throw error;
    }
  }, signal);
}

async function findRole(client: AdminClient, tag: string): Promise<FoundRole | undefined> {
  const { rows } = await client.query<FoundRole>(
    `SELECT oid::int8::float8 AS oid, rolsuper AS superuser, pg_has_role(oid, 'USAGE') AS usable,
            current_setting('is_superuser') = 'on' AS "asSuperuser",
            current_setting('server_version_num')::int AS version
       FROM pg_roles WHERE rolname = $1`,
    [tag],
  );
  return rows[0];
}

/**
 * An issue that was cut off may have its COMMIT on the way, and until that is done its role cannot be seen. Names are
 * unique: making a role of that name waits for the other transaction and fails if it went through. Never committed.
 */
async function findLateRole(client: AdminClient, tag: string): Promise<FoundRole | undefined> {
  await client.query('BEGIN');
  try {
    await client.query(`CREATE ROLE ${quoteName(tag)} NOLOGIN`);
    return undefined;
  } catch (error) {
    if (!isTaken(error)) throw error;
  } finally {
    await client.query('ROLLBACK');
  }
  return findRole(client, tag);
}

/** Duplicate object, or a violation of the unique index on names. */
function isTaken(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === '42710' || error.code === '23505');
}

/**
 * NOLOGIN first, then end the sessions: the other way round a client logs in again in between. A session may hold up
 * our ALTER ROLE with an open one of its own, so both are tried in turn until the role is barred and has no session.
 */
async function shutOut(client: AdminClient, tag: string, oid: number, signal: AbortSignal): Promise<void> {
  let isBarred = false;
  for (;;) {
    isBarred ||= await barLogin(client, tag);
    const { rows } = await client.query<{ sessions: number }>(
      `SELECT count(*)::int AS sessions FROM (
         SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usesysid = $1 AND pid <> pg_backend_pid()
       ) AS ended`,
      [oid],
    );
    if (isBarred && rows[0]?.sessions === 0) return;
    await delay(POLL_MS, undefined, { signal });
  }
}

async function barLogin(client: AdminClient, tag: string): Promise<boolean> {
  try {
    await inTransaction(client, async () => {
      await client.query(`SET LOCAL lock_timeout = ${ALTER_LOCK_MS}`);
      await client.query(`ALTER ROLE ${quoteName(tag)} NOLOGIN PASSWORD NULL`);
    });
    return true;
  } catch (error) {
    if (isConflict(error) || isLockTimeout(error)) return false;
    throw error;
  }
}

/** A role may own large objects or other leftovers in every database that lets everyone connect. */
async function dropRole(
  admin: PostgresAdmin,
  client: AdminClient,
  tag: string,
  { oid, asSuperuser }: FoundRole,
  signal: AbortSignal,
): Promise<void> {
  const role = quoteName(tag);
  const { rows } = await client.query<{ name: string }>(
    `SELECT DISTINCT d.datname AS name FROM pg_shdepend s JOIN pg_database d ON d.oid = s.dbid
      WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = $1 AND d.datname <> current_database()`,
    [oid],
  );
  for (const { name } of rows) {
    await admin.runIn(name, (other) => other.query(`DROP OWNED BY ${role}`), signal);
  }
  await admin.serialise(async () => {
    signal.throwIfAborted();
    const drop = [`SET LOCAL lock_timeout = ${DROP_LOCK_MS}`, `DROP OWNED BY ${role}`, `DROP ROLE ${role}`];
    try {
      await inTransaction(client, () => client.query(drop.join('; ')));
    } catch (error) {
      if (!isLackOfRight(error)) throw error;
      await inTransaction(client, async () => {
        const revokes = await revokeStatements(client, oid, asSuperuser);
        await client.query([...revokes, ...drop].join('; '));
      });
    }
  });
}

/** Insufficient privilege, or something still depends on the role. */
function isLackOfRight(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === '42501' || error.code === '2BP01');
}

/** Rights on tables, sequences and single columns, one row for each grantor. Names come out quoted. */
const GRANTED = `
WITH rights AS (
  SELECT objid, objsubid FROM pg_shdepend
   WHERE refclassid = 'pg_authid'::regclass AND refobjid = $1 AND classid = 'pg_class'::regclass AND deptype = 'a'
     AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
), entries AS (
  SELECT c.oid, a.grantor, a.privilege_type AS privilege, '' AS col
    FROM pg_class c, aclexplode(c.relacl) a
   WHERE c.oid IN (SELECT objid FROM rights) AND a.grantee = $1
  UNION ALL
  SELECT t.attrelid, a.grantor, a.privilege_type, format(' (%I)', t.attname)
    FROM pg_attribute t, aclexplode(t.attacl) a
   WHERE (t.attrelid, t.attnum) IN (SELECT objid, objsubid FROM rights) AND a.grantee = $1
)
SELECT format('SET LOCAL ROLE %I', pg_get_userbyid(e.grantor)) AS become,
       format('REVOKE %s ON %s %I.%I FROM %I', string_agg(e.privilege || e.col, ', '),
              CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, n.nspname, c.relname,
              pg_get_userbyid($1)) AS revoke
  FROM entries e JOIN pg_class c ON c.oid = e.oid JOIN pg_namespace n ON n.oid = c.relnamespace
 GROUP BY e.grantor, c.oid, c.relkind, n.nspname, c.relname`;

/**
 * Revokes right by right, for where DROP OWNED does not do: it revokes ALL, which fails for an admin that may pass on
 * some rights but not others; and a superuser's revokes what the table's owner granted, not what another admin did.
 * Only then, because REVOKE waits for whoever has locked the table, and DROP OWNED does not.
 */
async function revokeStatements(client: AdminClient, oid: number, asSuperuser: boolean): Promise<string[]> {
  const { rows } = await client.query<{ become: string; revoke: string }>(GRANTED, [oid]);
  return rows.flatMap(({ become, revoke }) => (asSuperuser ? [become, revoke, 'SET LOCAL ROLE NONE'] : [revoke]));
}
