import { chmod, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { isRemitError, messageOf, RemitError } from '../domain/errors.ts';
import type { Schedule } from '../seams/clock.ts';

/** An administrative operation of the running gateway; returns what is sent back as JSON. */
export type AdminOperation = (parameters: Readonly<Record<string, string>>) => Promise<unknown> | unknown;

export interface AdminSocket {
  readonly path: string;
  /** Takes nothing more; what is under way is answered first, for a while: who has ordered something is told what came of it. */
  close(): Promise<void>;
}

/** Somewhat longer than an order waits for what it ends. */
const FINISH_MS = 6_000;

/**
 * Serves administration over a Unix socket with mode 0600 in the data folder: who may open the file may administer. It is never on the port
 * that agents reach, and no credential of an agent is accepted here (guarantee A6).
 * @throws `ERR_INTERNAL` when it cannot be opened
 */
export async function serveAdminSocket(
  path: string,
  schedule: Schedule,
  operations: Readonly<Record<string, AdminOperation>>,
): Promise<AdminSocket> {
  const underWay = new Set<Promise<void>>();
  const server = createServer((request, response) => {
    const answering = answer(request, response, operations).finally(() => underWay.delete(answering));
    underWay.add(answering);
  });
  await listen(server, path);
  await chmod(path, 0o600);
  return {
    path,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      let cancel = (): void => {};
      const late = new Promise<void>((resolve) => {
        cancel = schedule(FINISH_MS, resolve);
      });
      await Promise.race([Promise.allSettled(underWay), late]);
      cancel();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function listen(server: Server, path: string): Promise<void> {
  // Whoever holds the journal's lock is the only gateway here, so that a socket found now belongs to a dead one.
  await rm(path, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => {
      reject(
        new RemitError('ERR_INTERNAL', `cannot open the administration socket: ${messageOf(cause)}`, {
          where: path,
          hint: 'Check that the data folder is writable and its path shorter than 100 characters.',
          cause,
        }),
      );
    });
    // A private umask while the socket is made: there is no moment at which others could open it.
    const before = process.umask(0o177);
    // Not by the process that workers share ports through: it would make the file, with its own umask.
    server.listen({ path, exclusive: true }, resolve);
    process.umask(before);
  });
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  operations: Readonly<Record<string, AdminOperation>>,
): Promise<void> {
  let status = 200;
  let body: unknown;
  try {
    const url = new URL(request.url ?? '/', 'http://admin');
    const name = url.pathname.slice(1);
    const operation = Object.hasOwn(operations, name) ? operations[name] : undefined;
    if (request.method !== 'POST' || operation === undefined)
      throw new RemitError('ERR_NOT_FOUND', `no operation ${name}`);
    body = (await operation(Object.fromEntries(url.searchParams))) ?? {};
  } catch (error) {
    status = isRemitError(error, 'ERR_NOT_FOUND') ? 404 : 500;
    const known = error instanceof RemitError ? error : new RemitError('ERR_INTERNAL', messageOf(error));
    body = { error: { code: known.code, message: known.message, where: known.where, hint: known.hint } };
  }
  response.writeHead(status, { 'Content-Type': 'application/json' });
  await new Promise<void>((sent) => {
    response.once('close', sent).end(JSON.stringify(body), sent);
  });
}
