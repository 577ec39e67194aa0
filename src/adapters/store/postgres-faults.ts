import { messageOf } from '../../domain/errors.ts';
import { CONFLICT, codeOf, DEFECT, type Diagnosis } from './faults.ts';

/** What `pg` and its pool say, without any code, of a server that does not answer. */
const NO_ANSWER =
  /timeout exceeded when trying to connect|Query read timeout|Connection terminated|not queryable|connection error|server does not support SSL/i;

/** What Node and OpenSSL call a certificate that is not trusted, and a handshake that fails. */
const TLS_REFUSED =
  /^(CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|HOSTNAME_MISMATCH|INVALID_|ERR_TLS_|ERR_SSL_|ERR_OSSL_)/;

/** SQLSTATE codes (PostgreSQL's appendix A) and Node's network errors. */
export function diagnosePostgres(error: unknown): Diagnosis {
  const code = codeOf(error);
  if (['55P03', '40P01', '40001', '25P03', '25P04'].includes(code)) {
    return { code: 'ERR_STORE_LOCKED', hint: 'Another session holds a lock: find it in pg_stat_activity and end it.' };
  }
  if (code === '53100' || code === 'ENOSPC') {
    return { code: 'ERR_STORE_FULL', hint: 'Free space on the disk of the PostgreSQL server.' };
  }
  if (/^28/.test(code) || code === '42501') {
    return { code: 'ERR_STORE_UNREACHABLE', hint: 'Check user, password and rights of the store’s role.' };
  }
  if (code === '3D000') {
    return { code: 'ERR_STORE_UNREACHABLE', hint: 'Create the database that the URL names.' };
  }
  if (code === '25006') {
    return { code: 'ERR_STORE_UNREACHABLE', hint: 'The server is read-only: name the primary in the URL.' };
  }
  if (code === '53300') {
    return {
      code: 'ERR_STORE_UNREACHABLE',
      hint: 'The server has no connection left: end others (pg_stat_activity), raise max_connections, or set store.connections lower.',
    };
  }
  if (TLS_REFUSED.test(code)) {
    return {
      code: 'ERR_STORE_UNREACHABLE',
      hint: 'Check the server’s certificate (name, end, who issued it) against sslmode and sslrootcert in the URL.',
    };
  }
  // 08 connection, 53 resources, 57 operator intervention and timeouts, 58 system errors, XX internal or corrupt.
  if (/^(08|53|57|58|XX)/.test(code) || /^E[A-Z_]+$/.test(code) || isSilence(error)) {
    return {
      code: 'ERR_STORE_UNREACHABLE',
      hint: 'Check that the PostgreSQL server runs and can be reached from here.',
    };
  }
  if (code === '23505') return CONFLICT;
  if (['42P01', '42703', '42P07'].includes(code)) {
    return { code: 'ERR_STORE_SCHEMA', hint: 'The database holds tables that are not Remit’s: name another one.' };
  }
  return DEFECT;
}

/** Whether the connection must not be used again: its state is unknown, or it is gone. */
export function isConnectionLost(error: unknown): boolean {
  const code = codeOf(error);
  return !/^[0-9A-Z]{5}$/.test(code) || /^(08|57P|58|XX)/.test(code) || /^E[A-Z]{4}$/.test(code);
}

function isSilence(error: unknown): boolean {
  return error instanceof AggregateError || (codeOf(error) === '' && NO_ANSWER.test(messageOf(error)));
}
