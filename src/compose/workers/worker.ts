import { RemitError } from '../../domain/errors.ts';

/** One of several processes on one host that share the port and are nodes of their own. */
export interface Worker {
  /** From 1 on. */
  readonly number: number;
  /** Nobody serves yet: it listens where all do before it serves. */
  readonly isFirst: boolean;
}

/** Names of variables by which a worker is told which one it is. A command that is run with the first is about that worker's folder. */
export const WORKER_VARIABLE = 'REMIT_WORKER';
export const FIRST_VARIABLE = 'REMIT_WORKER_FIRST';

/** Of one host; more than any has processors for. */
export const MOST_WORKERS = 64;

/** @throws `ERR_USAGE` for what is no worker's number */
export function readWorker(text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined;
  const number = /^[1-9]\d?$/.test(text) ? Number(text) : 0;
  if (number >= 1 && number <= MOST_WORKERS) return number;
  throw new RemitError('ERR_USAGE', `there is no worker ${text}`, {
    where: WORKER_VARIABLE,
    hint: `Workers are numbered from 1 to ${MOST_WORKERS} at most.`,
  });
}

/** Of a data folder: where the parts of one worker lie. */
export const workerFolder = (number: number): string => `worker-${number}`;
