import { RemitError } from '../../domain/errors.ts';
import { quoteAccount } from './mysql-account.ts';
import type { MysqlSession } from './mysql-admin.ts';
import { quoteIdentifier, quoteString } from './mysql-scope.ts';

/**
 * The end that the server itself puts to a lease: an event that drops its user and ends its sessions. Made before the user is, so that none is
 * ever without one. `PASSWORD EXPIRE` would do neither: it counts in days, and leaves sessions alone.
 * @param seconds from now by the server's clock; its scheduler is exact to the second
 */
export async function createEvent(
  session: MysqlSession,
  event: { tag: string; host: string; database: string; seconds: number },
): Promise<void> {
  const { tag, host, database, seconds } = event;
  const [row] = await session.query('SELECT @@GLOBAL.event_scheduler AS scheduler');
  if (row?.scheduler !== 'ON') {
    throw new RemitError('ERR_CREDENTIAL_ISSUE', 'the server runs no events, and eventDatabase says that it does', {
      hint: 'Have the administrator SET PERSIST (MariaDB: configure) event_scheduler = ON, or leave eventDatabase out and run `remit reap`.',
    });
  }
  // 1094: a session that has gone by itself (ER_NO_SUCH_THREAD).
  await session.query(`CREATE EVENT ${quoteEvent(tag, database)}
    ON SCHEDULE AT CURRENT_TIMESTAMP + INTERVAL ${seconds} SECOND ON COMPLETION NOT PRESERVE DO
    BEGIN
      DECLARE done INT DEFAULT 0;
      DECLARE one BIGINT;
      DECLARE found CURSOR FOR SELECT ID FROM information_schema.PROCESSLIST WHERE USER = ${quoteString(tag)};
      DECLARE CONTINUE HANDLER FOR NOT FOUND SET done = 1;
      DECLARE CONTINUE HANDLER FOR 1094 BEGIN END;
      DROP USER IF EXISTS ${quoteAccount(tag, host)};
      OPEN found;
      ending: LOOP
        FETCH found INTO one;
        IF done = 1 THEN LEAVE ending; END IF;
        KILL CONNECTION one;
      END LOOP;
      CLOSE found;
    END`);
}

export async function dropEvent(session: MysqlSession, tag: string, database: string): Promise<void> {
  await session.query(`DROP EVENT IF EXISTS ${quoteEvent(tag, database)}`);
}

function quoteEvent(tag: string, database: string): string {
  return `${quoteIdentifier(database)}.${quoteIdentifier(tag)}`;
}
