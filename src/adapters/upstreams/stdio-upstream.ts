import { join } from 'node:path';
import type { Era } from '../../domain/era.ts';
import { RemitError } from '../../domain/errors.ts';
import type { TaskId } from '../../domain/ids.ts';
import type { Clock, Log, Schedule } from '../../seams/clock.ts';
import type { CredentialInjection, OpenUpstream, Upstream, UpstreamOpener } from '../../seams/upstream.ts';
import type { Containment, Wrapper } from './contain-process.ts';
import type { ContainedChild } from './contained-child.ts';
import { Deadlines } from './deadlines.ts';
import { openEgressProxy } from './egress-proxy.ts';
import type { ClientInfo } from './handshake.ts';
import { findRunningPackage, type RunningPackage } from './package-version.ts';
import { createRedactor, type Redactor } from './redaction.ts';
import { checkSandbox, EGRESS_SOCKET, SANDBOX_HOME, type Sandbox, sandboxPrefix } from './sandbox-command.ts';
import { StdioBreaker } from './stdio-breaker.ts';
import { refuseInlineCode } from './stdio-command.ts';
import { StdioConnection } from './stdio-connection.ts';
import { DiedOfDiscovery, introduceIn, introduceInEither, otherEra } from './stdio-handshake.ts';
import { TextTail } from './text-tail.ts';
import { calledOff, timedOut, unreachable } from './upstream-faults.ts';

const DEFAULT_MAX_LINE_BYTES = 16 * 1024 * 1024;
const SHOWN_STDERR_BYTES = 4 * 1024;
/** Values below this length stand in commands by chance. */
const SHORTEST_TELLING_SECRET = 8;

/** What runs, told once a process has introduced itself. */
export interface StartedProcess {
  readonly task: TaskId;
  readonly pid: number;
  /** Undefined where it cannot be told: no npm package, or none that could be found. */
  readonly package: RunningPackage | undefined;
}

export interface StdioOpenerOptions {
  /** Program and arguments; no shell. */
  readonly command: readonly string[];
  /** Plain variables, never secret. */
  readonly environment?: Readonly<Record<string, string>>;
  readonly workingDirectory?: string | undefined;
  readonly containment: Containment;
  readonly clientInfo: ClientInfo;
  readonly schedule: Schedule;
  readonly maxLineBytes?: number;
  /** Era that the server is known to speak; `auto` asks it. */
  readonly protocol?: 'auto' | 'legacy' | 'modern' | undefined;
  /** Lets the command hold code, as in `sh -c` (attack A31). */
  readonly allowInlineCode?: boolean | undefined;
  /** Left out: the process sees and reaches what the gateway does. */
  readonly sandbox?: Sandbox | undefined;
  /** Called after each start, a little later than `open` resolves. */
  readonly onStarted?: ((started: StartedProcess) => void) | undefined;
  /** Milliseconds from any beginning, for the breaker. */
  readonly now?: Clock | undefined;
  /** From 0 up to 1, for jitter. */
  readonly chance?: (() => number) | undefined;
  readonly log?: Log | undefined;
}

export interface StdioOpener extends UpstreamOpener {
  /** Ends every connection that it opened. Idempotent. */
  close(): Promise<void>;
}

/**
 * Opens connections to a server that the gateway starts: one process per connection, hence per task.
 * @throws `ERR_CONFIG_INVALID` for a command that holds code, or a sandbox that is none
 */
export function createStdioOpener(options: StdioOpenerOptions): StdioOpener {
  const { containment, schedule, clientInfo, protocol = 'auto', chance = Math.random } = options;
  if (options.allowInlineCode !== true) refuseInlineCode(options.command, options.environment ?? {});
  if (options.sandbox !== undefined) checkSandbox(options.sandbox);
  const connections = new Set<StdioConnection>();
  const deadlines = new Deadlines(schedule);
  const breaker = new StdioBreaker({ now: options.now ?? (() => performance.now()), chance });
  /** The era that the server has shown not to speak. */
  let unspoken: Era | undefined;
  let isClosed = false;

  async function open(request: OpenUpstream): Promise<Upstream> {
    const where = `connectors.${request.connector}`;
    if (isClosed) throw unreachable('The gateway is stopping', { where });
    if (isCalledOff(request)) throw calledOff(request.cancellation?.reason, { where });
    refuseSecretInCommand(options.command, request.injection, where);
    const wrapper = await sandboxed(where, request.injection);
    breaker.enter(where);
    try {
      const connection = await openOnce(request, where, wrapper, false).catch(async (error: unknown) => {
        if (!(error instanceof DiedOfDiscovery)) throw error;
        return await openOnce(request, where, wrapper, true);
      });
      breaker.opened();
      void connection.closed.then(() => connection.endedUnasked && breaker.failed());
      tellStarted(request.task, connection.pid);
      return connection;
    } catch (error) {
      if (isClosed || isCalledOff(request)) breaker.calledOff();
      else breaker.failed();
      throw error;
    }
  }

  /** One process, from its start to its introduction. Whatever goes wrong on the way, the process is ended. */
  async function openOnce(
    request: OpenUpstream,
    where: string,
    wrapper: Wrapper | undefined,
    isLegacyOnly: boolean,
  ): Promise<StdioConnection> {
    const { injection } = request;
    if (isClosed) throw unreachable('The gateway is stopping', { where });
    const child = await containment.start({
      command: [...options.command, ...(injection.arguments ?? []).map((secret) => secret.reveal())],
      environment: { ...options.environment, ...revealAll(injection) },
      descriptors: injection.descriptors,
      workingDirectory: options.workingDirectory,
      wrapper,
    });
    try {
      const redactor = createRedactor(injection);
      const lastWords = listen(child, redactor);
      const connection = new StdioConnection({
        child,
        schedule,
        deadlines,
        chance,
        maxLineBytes: options.maxLineBytes ?? DEFAULT_MAX_LINE_BYTES,
        events: request.events,
        where,
        onServed: () => breaker.served(),
      });
      connections.add(connection);
      void connection.closed.then(() => connections.delete(connection));
      try {
        await unlessCalledOff(connection, request, () => introduce(connection, request, redactor, isLegacyOnly));
      } catch (error) {
        await connection.close();
        throw withLastWords(error, lastWords.read());
      }
      lastWords.stop();
      return connection;
    } catch (error) {
      await child.close();
      throw error;
    }
  }

  async function introduce(
    connection: StdioConnection,
    { injection: _, ...request }: OpenUpstream,
    { redact }: Redactor,
    isLegacyOnly: boolean,
  ): Promise<void> {
    const { clientCapabilities, timeoutMs, prefer } = request;
    const introduction = { clientInfo, clientCapabilities, redact, schedule, timeoutMs };
    if (protocol !== 'auto') return await introduceIn(protocol, connection, introduction);
    if (isLegacyOnly) {
      await introduceIn('legacy', connection, introduction);
      unspoken = 'modern';
      return;
    }
    const known = unspoken;
    unspoken = undefined;
    const first = known === undefined ? prefer : otherEra(known);
    unspoken = await introduceInEither(first, known !== undefined, connection, introduction);
  }

  async function unlessCalledOff(
    connection: StdioConnection,
    request: OpenUpstream,
    opening: () => Promise<void>,
  ): Promise<void> {
    const { where } = connection;
    const { cancellation, timeoutMs } = request;
    const callOff = (): void => void connection.close();
    let isLate = false;
    const cancelTimer = schedule(timeoutMs, () => {
      isLate = true;
      void connection.close();
    });
    cancellation?.onCancel(callOff);
    if (isClosed) callOff();
    try {
      await opening();
    } catch (error) {
      if (isLate) throw timedOut(`The server did not introduce itself within ${timeoutMs} ms`, { where });
      if (isCalledOff(request)) throw calledOff(cancellation?.reason, { where });
      throw error;
    } finally {
      cancelTimer();
      cancellation?.offCancel(callOff);
    }
  }

  /** @throws `ERR_CONNECTOR_UNREACHABLE` where a sandbox is wanted and cannot be made: nothing is started without it */
  async function sandboxed(where: string, { descriptors = {} }: CredentialInjection): Promise<Wrapper | undefined> {
    const { sandbox } = options;
    if (sandbox === undefined) return undefined;
    const support = await containment.sandbox();
    if (!support.isUsable) {
      throw unreachable(`The connector must run in a sandbox, and none can be made: ${support.reason}`, {
        where,
        hint: 'Install bubblewrap and allow user namespaces (`remit doctor` tries it), or take the sandbox out of the configuration.',
      });
    }
    const { program } = support;
    const workingDirectory = options.workingDirectory ?? process.cwd();
    const { network } = sandbox;
    const command = { program, sandbox, workingDirectory, descriptors: Object.keys(descriptors).map(Number) };
    return {
      home: SANDBOX_HOME,
      prefix: (folder) => sandboxPrefix({ ...command, folder }),
      ...(typeof network === 'object' && {
        prepare: async (folder) => (await openEgressProxy(join(folder, EGRESS_SOCKET), network, options.log)).close,
      }),
    };
  }

  function tellStarted(task: TaskId, pid: number): void {
    const { onStarted } = options;
    if (onStarted === undefined) return;
    // Not waited for, and not a reason to refuse a server: what it is told is best effort.
    void findRunningPackage(pid)
      .then((found) => onStarted({ task, pid, package: found }))
      .catch(() => {});
  }

  return {
    open,
    async close() {
      isClosed = true;
      await Promise.all([...connections].map((connection) => connection.close()));
      deadlines.close();
    },
  };
}

/** Keeps the end of what a server writes to standard error, until `stop`; drained for as long as it lives, as a full pipe would stop it. */
function listen(child: ContainedChild, redactor: Redactor): { read(): string; stop(): void } {
  const tail = new TextTail(redactor, SHOWN_STDERR_BYTES);
  const keep = (chunk: Buffer): void => tail.push(chunk);
  child.stderr.on('data', keep);
  return {
    read: () => tail.read(),
    // What it says from now on may be about data: nobody shows it, so nobody keeps it.
    stop() {
      child.stderr.off('data', keep);
      child.stderr.resume();
    },
  };
}

const isCalledOff = ({ cancellation }: OpenUpstream): boolean => cancellation?.isCancelled === true;

function revealAll(injection: CredentialInjection): Record<string, string> {
  return Object.fromEntries(Object.entries(injection.environment).map(([name, secret]) => [name, secret.reveal()]));
}

/** Arguments are seen by every user of the host (`ps`), so a secret among them is refused, not started (guarantee L6). */
function refuseSecretInCommand(command: readonly string[], injection: CredentialInjection, where: string): void {
  for (const [name, value] of Object.entries(revealAll(injection))) {
    if (value.length < SHORTEST_TELLING_SECRET || !command.some((part) => part.includes(value))) continue;
    throw new RemitError('ERR_SECRET_ON_COMMAND_LINE', `The command holds the value of the injected variable ${name}`, {
      where: `${where}.transport.stdio.command`,
      hint: 'Take it out of the command: the server must read it from the environment variable.',
    });
  }
}

function withLastWords(error: unknown, lastWords: string): unknown {
  if (!(error instanceof RemitError) || lastWords === '') return error;
  const { code, message, where, hint } = error;
  return new RemitError(code, `${message}. It last wrote: ${lastWords}`, {
    ...(where === undefined ? {} : { where }),
    ...(hint === undefined ? {} : { hint }),
  });
}
