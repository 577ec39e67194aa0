import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { decodeJwt } from 'jose';
import { isRemitError } from '../domain/errors.ts';
import { type Declaration, openTaskSession, type TaskSession, type TaskSessionOptions } from './task-session.ts';

/**
 * A helper command runs once per token, but the client's session is one piece of work: goes on with the task that the last run
 * started, while it lives and is declared the same, and starts another otherwise. The file holds a task id, no token.
 */
export async function reuseSession(
  options: TaskSessionOptions & { task: { declare: Declaration } },
  file: string,
): Promise<TaskSession> {
  // Another user's token is other work: it never goes on under the task of the user before.
  const declared = JSON.stringify([options.gateway, options.task.declare, userOf(options.subjectToken)]);
  const last = await readFile(file, 'utf8')
    .then((text) => JSON.parse(text) as { task?: string; declared?: string })
    .catch(() => undefined);
  if (last?.task !== undefined && last.declared === declared) {
    try {
      return await openTaskSession({ ...options, task: { continue: last.task } });
    } catch (error) {
      // It has ended: a new one is started. Anything else is for the caller to hear.
      if (!isRemitError(error, 'ERR_TASK_REFUSED') && !isRemitError(error, 'ERR_TOKEN_REFUSED')) throw error;
    }
  }
  const session = await openTaskSession(options);
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  await writeFile(file, JSON.stringify({ task: session.granted.task, declared }), { mode: 0o600 });
  return session;
}

/** Whose token it is, only to tell users apart: verifying it is the gateway's work. */
function userOf(subjectToken: string | undefined): string | undefined {
  if (subjectToken === undefined) return undefined;
  try {
    const { iss, sub } = decodeJwt(subjectToken);
    if (sub !== undefined) return `${iss}#${sub}`;
  } catch {
    // Not a JWT: the token itself must tell.
  }
  return createHash('sha256').update(subjectToken).digest('hex');
}
