import { RemitError } from '../../domain/errors.ts';
import type { ActionClass } from '../../domain/tool.ts';

/**
 * What a task's resources and action classes come to in Redis: key patterns and commands of an ACL user. A resource is
 * a key, or a pattern of keys in which `*` stands for any text; `?`, `[…]` and `\` stand for themselves.
 */

export interface RedisScope {
  /** As they stand in an ACL rule, escaped. */
  readonly patterns: readonly string[];
  readonly mayWrite: boolean;
}

/** What a class opens; `code`, `privilege` and `secret` open no key at all. Redis has no right to change without one to remove. */
const OPENS: Readonly<Record<ActionClass, 'read' | 'write' | undefined>> = {
  read: 'read',
  export: 'read',
  write: 'write',
  ticket: 'write',
  financial: 'write',
  code: undefined,
  privilege: undefined,
  secret: undefined,
};

const MOST_PATTERNS = 200;
const MOST_PATTERN_BYTES = 512;

/**
 * @throws `ERR_CREDENTIAL_ISSUE` where nothing remains to open, for too many patterns, and for one that an ACL rule cannot hold
 */
export function redisScope(resources: readonly string[], classes: readonly ActionClass[]): RedisScope {
  const opened = classes.map((actionClass) => OPENS[actionClass]);
  if (!opened.some((right) => right !== undefined)) {
    throw new RemitError('ERR_CREDENTIAL_ISSUE', `action classes ${classes.join(', ') || '(none)'} open no key`, {
      hint: 'Only read, export, write, ticket and financial come to commands on Redis keys.',
    });
  }
  if (resources.length === 0) {
    throw new RemitError('ERR_CREDENTIAL_ISSUE', 'the task names no resource of this connector', {
      hint: 'Name its keys in the task or its template, for example cache:orders:*. Nothing is opened unnamed.',
    });
  }
  const patterns = [...new Set(resources.map(escapePattern))];
  if (patterns.length > MOST_PATTERNS) {
    throw new RemitError(
      'ERR_CREDENTIAL_ISSUE',
      `the task names ${patterns.length} key patterns; the most is ${MOST_PATTERNS}`,
    );
  }
  return { patterns, mayWrite: opened.includes('write') };
}

function escapePattern(resource: string): string {
  // An ACL rule cannot hold a space or NUL (`ACLStringHasSpaces`), and control characters have no place in a name.
  if (
    resource === '' ||
    /[\s\p{Cc}\p{Surrogate}]/u.test(resource) ||
    Buffer.byteLength(resource) > MOST_PATTERN_BYTES
  ) {
    throw new RemitError('ERR_CREDENTIAL_ISSUE', `${JSON.stringify(resource)} is no key pattern for an ACL rule`, {
      where: resource,
      hint: `Write a key or a pattern with *, without spaces, of at most ${MOST_PATTERN_BYTES} bytes.`,
    });
  }
  return resource.replace(/[\\?[\]]/g, '\\$&');
}

/** For people: `read, write on orders:*, session:*`. */
export function describeRedisScope({ patterns, mayWrite }: RedisScope): string {
  return `${mayWrite ? 'read, write' : 'read'} on ${patterns.map((pattern) => pattern.replace(/\\(.)/g, '$1')).join(', ')}`;
}

/** Commands that a client library sends before the first of its user's. None of them reads or changes a key. */
function connectionRules(database: number): string[] {
  return ['+ping', '+echo', `+select|${database}`, '+client|setname', '+client|getname', '+client|id'];
}

/**
 * What ACL rules do not bind to key patterns: SCAN, RANDOMKEY and DBSIZE tell of all keys, FUNCTION (in @write) leaves code behind, and
 * @dangerous has KEYS, SORT, FLUSHALL, RESTORE, CONFIG and their like.
 */
const NEVER = ['-@dangerous', '-@admin', '-@scripting', '-scan', '-randomkey', '-dbsize'];

/**
 * Rules of `ACL SETUSER`, whole: they start from `reset`, so that whatever stood under the name is gone. The server takes all of them or none.
 * @param scope undefined: may connect, and do nothing
 * @param passwordHash SHA-256 in hex: the password itself would be in the server's slow log, and in MONITOR
 */
export function redisRules(scope: RedisScope | undefined, passwordHash: string, database: number): string[] {
  const start = ['reset', 'on', `#${passwordHash}`];
  if (scope === undefined) return [...start, ...connectionRules(database)];
  const keys = scope.patterns.map((pattern) => `${scope.mayWrite ? '~' : '%R~'}${pattern}`);
  const commands = scope.mayWrite ? ['+@read', '+@write'] : ['+@read'];
  return [...start, ...keys, ...commands, ...NEVER, '+@transaction', ...connectionRules(database)];
}
