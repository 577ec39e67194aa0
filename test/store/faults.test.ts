import { expect, test } from 'vitest';
import { toFault } from '../../src/adapters/store/faults.ts';
import { diagnosePostgres, isConnectionLost } from '../../src/adapters/store/postgres-faults.ts';
import { diagnoseSqlite } from '../../src/adapters/store/sqlite-faults.ts';
import { RemitError } from '../../src/domain/errors.ts';

const failure = (code: string, message = 'no') => Object.assign(new Error(message), { code });

test.each([
  ['SQLITE_BUSY', 'ERR_STORE_LOCKED'],
  ['SQLITE_BUSY_SNAPSHOT', 'ERR_STORE_LOCKED'],
  ['SQLITE_LOCKED', 'ERR_STORE_LOCKED'],
  ['SQLITE_CONSTRAINT_UNIQUE', 'ERR_STORE_LOCKED'],
  ['SQLITE_FULL', 'ERR_STORE_FULL'],
  ['ENOSPC', 'ERR_STORE_FULL'],
  ['SQLITE_IOERR_FSYNC', 'ERR_STORE_UNREACHABLE'],
  ['SQLITE_CANTOPEN', 'ERR_STORE_UNREACHABLE'],
  ['SQLITE_CORRUPT', 'ERR_STORE_UNREACHABLE'],
  ['SQLITE_READONLY', 'ERR_STORE_UNREACHABLE'],
  ['EACCES', 'ERR_STORE_UNREACHABLE'],
  ['SQLITE_CONSTRAINT_NOTNULL', 'ERR_INTERNAL'],
])('SQLite’s %s is %s', (code, expected) => {
  expect(diagnoseSqlite(failure(code)).code).toBe(expected);
});

test.each([
  ['55P03', 'ERR_STORE_LOCKED'],
  ['40P01', 'ERR_STORE_LOCKED'],
  ['40001', 'ERR_STORE_LOCKED'],
  ['23505', 'ERR_STORE_LOCKED'],
  ['53100', 'ERR_STORE_FULL'],
  ['53300', 'ERR_STORE_UNREACHABLE'],
  ['57P01', 'ERR_STORE_UNREACHABLE'],
  ['57P03', 'ERR_STORE_UNREACHABLE'],
  ['57014', 'ERR_STORE_UNREACHABLE'],
  ['58030', 'ERR_STORE_UNREACHABLE'],
  ['25006', 'ERR_STORE_UNREACHABLE'],
  ['28P01', 'ERR_STORE_UNREACHABLE'],
  ['42501', 'ERR_STORE_UNREACHABLE'],
  ['ECONNREFUSED', 'ERR_STORE_UNREACHABLE'],
  ['ECONNRESET', 'ERR_STORE_UNREACHABLE'],
  ['ETIMEDOUT', 'ERR_STORE_UNREACHABLE'],
  ['ENOTFOUND', 'ERR_STORE_UNREACHABLE'],
  ['42P01', 'ERR_STORE_SCHEMA'],
  ['23502', 'ERR_INTERNAL'],
  ['22021', 'ERR_INTERNAL'],
])('PostgreSQL’s %s is %s', (code, expected) => {
  expect(diagnosePostgres(failure(code)).code).toBe(expected);
});

test.each([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'CERT_HAS_EXPIRED',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'ERR_SSL_WRONG_VERSION_NUMBER',
])('a PostgreSQL whose certificate is refused (%s) is unreachable, and the next step is about trust', (code) => {
  const { code: found, hint } = diagnosePostgres(failure(code));
  expect(found).toBe('ERR_STORE_UNREACHABLE');
  expect(hint).toContain('sslrootcert');
  expect(isConnectionLost(failure(code))).toBe(true);
});

test('a server without a connection left is not taken for one that cannot be reached', () => {
  expect(diagnosePostgres(failure('53300')).hint).toContain('max_connections');
  expect(diagnosePostgres(failure('57P03')).hint).toContain('can be reached');
});

test.each([
  'Connection terminated unexpectedly',
  'timeout exceeded when trying to connect',
  'Query read timeout',
  'Client has encountered a connection error and is not queryable',
])('pg’s “%s”, which has no code, is unreachable', (message) => {
  expect(diagnosePostgres(new Error(message)).code).toBe('ERR_STORE_UNREACHABLE');
  expect(isConnectionLost(new Error(message))).toBe(true);
});

test('a refused statement does not cost the connection, a broken one does', () => {
  expect(['23505', '55P03', '57014', '53100'].filter((code) => isConnectionLost(failure(code)))).toEqual([]);
  expect(['57P01', '08006', 'EPIPE', 'ECONNRESET', ''].every((code) => isConnectionLost(failure(code)))).toBe(true);
});

test('a fault says where, what to do, and which error it came from; one of ours passes unchanged', () => {
  const refused = new AggregateError([new Error('connect ::1:5432'), new Error('connect 127.0.0.1:5432')], '');
  const fault = toFault(refused, 'localhost:5432/remit', diagnosePostgres);
  expect(fault).toMatchObject({ code: 'ERR_STORE_UNREACHABLE', where: 'localhost:5432/remit' });
  expect(fault.message).toContain('connect ::1:5432, connect 127.0.0.1:5432');
  const ours = new RemitError('ERR_STORE_SCHEMA', 'newer');
  expect(toFault(ours, 'anywhere', diagnosePostgres)).toBe(ours);
});
