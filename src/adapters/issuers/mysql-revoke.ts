import { setTimeout as delay } from 'node:timers/promises';
import { quoteAccount } from './mysql-account.ts';
import { type MysqlAdmin, MysqlFault, type MysqlSession } from './mysql-admin.ts';
import { dropEvent } from './mysql-event.ts';
import { quoteString } from './mysql-scope.ts';

const POLL_MS = 10;
/** Longest to wait for whoever is logging in just now; whoever takes longer is ended. */
const LOGIN_MS = 2_000;
/** Longest to wait for an issue that was cut off, or another revoke; whoever takes longer is ended. */
const TURN_SECONDS = 1;

/**
 * Ends a leased user for good, knowing its name only: no new login, no session, no user. Each step may find its work done already. What an issue
 * of that name that was cut off still does is waited for, and ended too.
 */
export async function revokeUser(
  admin: MysqlAdmin,
  tag: string,
  eventDatabase: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  await admin.run(async (session) => {
    await endUser(session, tag, signal);
    await takeTurn(session, tag, signal);
    if ((await hostsOf(session, tag)).length > 0) await endUser(session, tag, signal);
    if (eventDatabase !== undefined) await dropEvent(session, tag, eventDatabase);
    await leaveTurn(session, tag);
  }, signal);
}

/** Locked, then ended, then dropped: the other way round a client logs in again in between. */
async function endUser(session: MysqlSession, tag: string, signal: AbortSignal): Promise<void> {
  const accounts = (await hostsOf(session, tag)).map((host) => quoteAccount(tag, host)).join(', ');
  if (accounts !== '') await session.query(`ALTER USER IF EXISTS ${accounts} ACCOUNT LOCK`);
  await killSessions(session, tag);
  if (accounts !== '') await session.query(`DROP USER IF EXISTS ${accounts}`);
  await waitForSessions(session, tag, signal);
}

/** By the list of accounts, whatever host part they were given. */
async function hostsOf(session: MysqlSession, tag: string): Promise<string[]> {
  const rows = await session.query(`SELECT Host AS host FROM mysql.user WHERE User = ${quoteString(tag)}`);
  return rows.map(({ host }) => String(host));
}

async function killSessions(session: MysqlSession, tag: string): Promise<void> {
  if (session.dialect === 'mariadb') await session.query(`KILL HARD CONNECTION USER ${quoteString(tag)}`);
  else
    for (const { id } of (await listSessions(session, tag)).filter(({ isLogin }) => !isLogin)) await kill(session, id);
}

async function kill(session: MysqlSession, id: number): Promise<void> {
  await session.query(`KILL CONNECTION ${id}`).catch((error: unknown) => {
    if (!(error instanceof MysqlFault && error.code === 'ER_NO_SUCH_THREAD')) throw error;
  });
}

/**
 * A client that began to log in before the lock may be let in after it: the server looks at the account once, when it hears the name. MariaDB
 * lists it under that name from then on, so it is ended with the sessions. With MySQL nobody can see whose it is until it is in, so
 * all that were logging in by then are waited for.
 */
async function waitForSessions(session: MysqlSession, tag: string, signal: AbortSignal): Promise<void> {
  const since = performance.now();
  let logins: ReadonlySet<number> | undefined;
  for (;;) {
    const found = await listSessions(session, tag);
    logins ??= new Set(found.filter(({ isLogin }) => isLogin).map(({ id }) => id));
    const known = logins;
    const left = found.filter(({ id, isLogin }) => !isLogin || known.has(id));
    if (left.length === 0) return;
    const isLate = performance.now() - since > LOGIN_MS;
    for (const { id, isLogin } of left) if (!isLogin || isLate) await kill(session, id);
    await delay(POLL_MS, undefined, { signal });
  }
}

async function listSessions(session: MysqlSession, tag: string): Promise<{ id: number; isLogin: boolean }[]> {
  const names = session.dialect === 'mariadb' ? [tag] : [tag, 'unauthenticated user'];
  const rows = await session.query(
    `SELECT ID AS id, USER AS name FROM information_schema.PROCESSLIST WHERE USER IN (${names.map(quoteString).join(', ')})`,
  );
  return rows.map(({ id, name }) => ({ id: Number(id), isLogin: name !== tag }));
}

/**
 * An issue holds the lock of its tag from before its first statement until its last, on its connection: where its process is gone, the server
 * lets go of it once it has done what it was sent. Any user may take such a lock, so whoever keeps it is ended.
 */
async function takeTurn(session: MysqlSession, tag: string, signal: AbortSignal): Promise<void> {
  for (;;) {
    signal.throwIfAborted();
    const [turn] = await session.query(`SELECT GET_LOCK(${quoteString(tag)}, ${TURN_SECONDS}) AS got`);
    if (Number(turn?.got) === 1) return;
    const [holder] = await session.query(`SELECT IS_USED_LOCK(${quoteString(tag)}) AS id`);
    if (typeof holder?.id === 'number') await kill(session, holder.id);
  }
}

async function leaveTurn(session: MysqlSession, tag: string): Promise<void> {
  await session.query(`DO RELEASE_LOCK(${quoteString(tag)})`);
}
