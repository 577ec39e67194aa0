import { messageOf } from '../../domain/errors.ts';
import { CONFLICT, codeOf, DEFECT, type Diagnosis } from './faults.ts';

/** libsql gives no code when opening fails, only the number in the text: 14 is SQLITE_CANTOPEN. */
const OPEN_FAILED = /ConnectionFailed|unable to open/i;

/** Result codes of SQLite (https://sqlite.org/rescode.html) and of the file system. */
export function diagnoseSqlite(error: unknown): Diagnosis {
  const code = codeOf(error);
  if (isBusy(error)) {
    return { code: 'ERR_STORE_LOCKED', hint: 'Another process holds the store locked: wait for it, or end it.' };
  }
  if (code.startsWith('SQLITE_FULL') || code === 'ENOSPC' || code === 'EDQUOT') {
    return { code: 'ERR_STORE_FULL', hint: 'Free space on the disk that holds the store.' };
  }
  if (/^SQLITE_(CORRUPT|NOTADB)/.test(code)) {
    return { code: 'ERR_STORE_UNREACHABLE', hint: 'The file is damaged or no store: put a backup in its place.' };
  }
  if (/^SQLITE_(READONLY|PERM|AUTH)/.test(code) || ['EACCES', 'EPERM', 'EROFS'].includes(code)) {
    return { code: 'ERR_STORE_UNREACHABLE', hint: 'Let the user that runs Remit write the file and its folder.' };
  }
  if (/^SQLITE_(CANTOPEN|IOERR|NOLFS|PROTOCOL|NOMEM)/.test(code) || /^E[A-Z]+$/.test(code) || hasFailedToOpen(error)) {
    return { code: 'ERR_STORE_UNREACHABLE', hint: 'Check that the folder exists and its disk works.' };
  }
  if (/^SQLITE_CONSTRAINT_(PRIMARYKEY|UNIQUE)/.test(code)) return CONFLICT;
  if (/no such (table|column)|already exists/.test(messageOf(error))) {
    return { code: 'ERR_STORE_SCHEMA', hint: 'The file holds tables that are not Remit’s: name another one.' };
  }
  return DEFECT;
}

/** Whether the same statement may succeed in a moment: nothing of it has been done. */
export function isBusy(error: unknown): boolean {
  return /^SQLITE_(BUSY|LOCKED)/.test(codeOf(error));
}

function hasFailedToOpen(error: unknown): boolean {
  return codeOf(error) === '' && OPEN_FAILED.test(messageOf(error));
}
