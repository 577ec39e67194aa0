import cluster from 'node:cluster';
import type { RunningGateway } from '../compose/running-gateway.ts';
import type { System } from '../compose/system.ts';
import { keepWorkers, type StartedWorker, type Told, type WorkerProcess } from '../compose/workers/keep-workers.ts';
import { FIRST_VARIABLE, readWorker, WORKER_VARIABLE, type Worker } from '../compose/workers/worker.ts';
import { loadConfig } from '../config/load-config.ts';
import { RemitError } from '../domain/errors.ts';
import { closeUnaccepted } from './close-unaccepted.ts';
import type { Output } from './output.ts';
import { runGateway, tellRevokeOnly, tellServing, waitForSignal } from './serve.ts';

/** Whether this process was started as a worker. */
export const isWorker = (): boolean => cluster.isWorker;

/** Starts workers, keeps them running, and stops with all of them. @throws `ERR_USAGE` where they could not share anything */
export async function upWithWorkers(output: Output, config: string, count: number, system: System): Promise<void> {
  await assertShareable(config);
  const stopped = waitForSignal();
  const { schedule, monotonic, log } = system;
  const workers = keepWorkers({ count, fork: forkWorker, schedule, monotonic, log });
  const started = await Promise.race([workers.start(), stopped]);
  if (typeof started === 'number') {
    // Why was told by the worker itself.
    process.exitCode = started;
    return;
  }
  if (typeof started !== 'string') tellStarted(output, started);
  const signal = await stopped;
  output.note(`stopping (${signal}): ${count} workers end their calls`);
  await workers.stop();
  process.exitCode = 0;
}

async function assertShareable(config: string): Promise<void> {
  const { store, listen } = (await loadConfig(config)).config;
  if (store.kind !== 'postgres') {
    throw new RemitError('ERR_USAGE', 'workers need a store that several gateways share', {
      where: 'store.kind',
      hint: 'Set `store: { kind: postgres, urlVariable: … }` in remit.yaml, or leave `--workers` out.',
    });
  }
  if (listen.port === 0) {
    throw new RemitError('ERR_USAGE', 'workers share one port, which must have a number', {
      where: 'listen.port',
      hint: 'Set listen.port in remit.yaml, for example 7420.',
    });
  }
}

/** What all have said, as one. */
function tellStarted(output: Output, started: readonly StartedWorker[]): void {
  const serving = started.filter(({ event }) => event === 'serving');
  const [first] = serving;
  const damaged = started.filter(({ event }) => event === 'revoke_only');
  for (const { worker, url, reason = '', wayOn = '' } of damaged)
    tellRevokeOnly(output, url, `worker ${worker} of ${started.length}: ${reason}`, wayOn);
  if (first === undefined) return;
  const problems = [...new Set(serving.flatMap((one) => one.problems))];
  const workers = serving.map(({ worker, pid }) => ({ worker, pid }));
  const who = `${workers.length} workers: ${workers.map(({ pid }) => `pid ${pid}`).join(', ')}`;
  tellServing(output, { ...first, problems }, { workers }, who);
}

function forkWorker(worker: number, isFirst: boolean): WorkerProcess {
  const child = cluster.fork({ [WORKER_VARIABLE]: String(worker), [FIRST_VARIABLE]: isFirst ? '1' : '' });
  closeUnaccepted(child.process);
  return {
    pid: child.process.pid,
    told: new Promise<Told>((resolve) => child.once('message', (said: Told) => resolve(said))),
    ended: new Promise((resolve) => {
      child.once('exit', (code: number | null) => resolve(code ?? undefined));
      child.once('error', () => {
        if (child.process.pid === undefined) resolve(undefined);
      });
    }),
    kill: (signal) => void child.process.kill(signal),
  };
}

/** What a worker does: a gateway of its own, until it is told to stop, or who started it is gone. */
export async function serveAsWorker(config: string, system: System, version: string): Promise<void> {
  const worker = readOwn(system);
  const stopped = Promise.race([waitForSignal(), waitForParentsEnd()]);
  try {
    await runGateway({
      config,
      system: { ...system, log: namedLog(system.log, worker.number) },
      version,
      worker,
      stopped,
      onStart: (gateway) => void process.send?.(toldOf(gateway)),
      output: { note: () => {} },
    });
  } catch (error) {
    // Else what joins it to its parent would keep it alive.
    process.disconnect?.();
    throw error;
  }
}

function readOwn({ environment }: System): Worker {
  const number = readWorker(environment(WORKER_VARIABLE));
  if (number === undefined) throw new RemitError('ERR_INTERNAL', 'a worker was started without its number');
  return { number, isFirst: environment(FIRST_VARIABLE) === '1' };
}

/** Node would leave at once; calls under way may end first, and credentials are revoked. */
function waitForParentsEnd(): Promise<string> {
  return new Promise((resolve) => {
    process.prependListener('disconnect', () => {
      if (cluster.worker !== undefined) cluster.worker.exitedAfterDisconnect = true;
      resolve('its parent is gone');
    });
  });
}

function toldOf({ url, listens, tools, undescribed, problems, revokeOnly, wayOn = '' }: RunningGateway): Told {
  const told = { url, listens, tools, undescribed, problems };
  return revokeOnly === undefined
    ? { event: 'serving', ...told }
    : { event: 'revoke_only', ...told, reason: revokeOnly, wayOn };
}

/** Says of each line whose it is: all write to one place. */
function namedLog(log: System['log'], worker: number): System['log'] {
  return {
    debug: (fields, message) => log.debug({ worker, ...fields }, message),
    info: (fields, message) => log.info({ worker, ...fields }, message),
    warn: (fields, message) => log.warn({ worker, ...fields }, message),
    error: (fields, message) => log.error({ worker, ...fields }, message),
  };
}
