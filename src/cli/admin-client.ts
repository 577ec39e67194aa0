import { request } from 'node:http';
import { basename, dirname, join } from 'node:path';
import { workerFolders } from '../compose/workers/worker-folders.ts';
import { placesOf } from '../compose/workspace.ts';
import type { LoadedConfig } from '../config/load-config.ts';
import { type ErrorCode, isRemitError, RemitError } from '../domain/errors.ts';

/** Longest wait for an answer. */
const WITHIN_MS = 60_000;

/**
 * Calls an operation of the gateway that runs on a data folder; of its workers, of the first that answers.
 * @throws `ERR_GATEWAY_UNREACHABLE` when none does
 */
export async function callAdmin<T>(
  socketPath: string,
  operation: string,
  parameters: Readonly<Record<string, string>> = {},
  withinMs = WITHIN_MS,
): Promise<T> {
  const [answer] = await callThose<T>(socketPath, operation, parameters, { most: 1, withinMs });
  return answer as T;
}

/** Calls an operation that is about what one process has in memory, or in its own journal: of every worker. @throws as `callAdmin` */
export function callEveryAdmin<T>(
  socketPath: string,
  operation: string,
  parameters: Readonly<Record<string, string>> = {},
): Promise<readonly T[]> {
  return callThose<T>(socketPath, operation, parameters, { most: Number.POSITIVE_INFINITY, withinMs: WITHIN_MS });
}

let answering: string[] = [];

/** Workers that have answered, for people; empty where one process alone serves a data folder. */
export const answeredBy = (): readonly string[] => answering;

async function callThose<T>(
  socketPath: string,
  operation: string,
  parameters: Readonly<Record<string, string>>,
  { most, withinMs }: { readonly most: number; readonly withinMs: number },
): Promise<readonly T[]> {
  answering = [];
  try {
    return [await callSocket<T>(socketPath, operation, parameters, withinMs)];
  } catch (error) {
    if (!isRemitError(error, 'ERR_GATEWAY_UNREACHABLE')) throw error;
    const answers: T[] = [];
    for (const folder of await workerFolders(dirname(socketPath))) {
      if (answers.length >= most) break;
      try {
        answers.push(await callSocket<T>(join(folder, basename(socketPath)), operation, parameters, withinMs));
        answering.push(basename(folder));
      } catch (other) {
        if (!isRemitError(other, 'ERR_GATEWAY_UNREACHABLE')) throw other;
      }
    }
    if (answers.length === 0) throw error;
    return answers;
  }
}

async function callSocket<T>(
  socketPath: string,
  operation: string,
  parameters: Readonly<Record<string, string>>,
  withinMs: number,
): Promise<T> {
  const { status, text } = await new Promise<{ status: number; text: string }>((resolve, reject) => {
    const query = new URLSearchParams(parameters).toString();
    const call = request(
      { socketPath, path: `/${operation}?${query}`, method: 'POST', timeout: withinMs },
      (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          body += chunk;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text: body }));
        response.on('error', (cause) => reject(unreachable(socketPath, cause)));
      },
    );
    call.on('timeout', () => call.destroy(new Error(`no answer within ${withinMs / 1_000} s`)));
    call.on('error', (cause: NodeJS.ErrnoException) => reject(unreachable(socketPath, cause)));
    call.end();
  });
  const body = JSON.parse(text) as T & { error?: { code: ErrorCode; message: string; where?: string; hint?: string } };
  if (status === 200) return body;
  const { error } = body;
  throw new RemitError(error?.code ?? 'ERR_INTERNAL', error?.message ?? `HTTP ${status}`, {
    ...(error?.where !== undefined && { where: error.where }),
    ...(error?.hint !== undefined && { hint: error.hint }),
  });
}

function unreachable(socketPath: string, cause: NodeJS.ErrnoException): RemitError {
  const isAbsent = cause.code === 'ENOENT' || cause.code === 'ECONNREFUSED';
  return new RemitError(
    'ERR_GATEWAY_UNREACHABLE',
    isAbsent
      ? 'no gateway is running on this data folder'
      : `the gateway of this data folder does not answer: ${cause.message}`,
    {
      where: socketPath,
      hint: isAbsent
        ? 'Start it with `remit up` (same --config), then run this again.'
        : 'Run this as the user that runs the gateway, and look at the gateway’s log.',
      cause,
    },
  );
}

/** Base URL under which agents reach the gateway. A port that it chose itself is asked of the running one. */
export async function findGateway(loaded: LoadedConfig, given: string | undefined): Promise<string> {
  const { publicUrl, listen } = loaded.config;
  const known = given ?? publicUrl;
  if (known !== undefined) return known;
  if (listen.port === 0) return (await callAdmin<{ url: string }>(placesOf(loaded).socket, 'status')).url;
  return `http://${listen.host.includes(':') ? `[${listen.host}]` : listen.host}:${listen.port}`;
}
