import { RemitError } from '../../domain/errors.ts';
import type { Schedule } from '../../seams/clock.ts';
import type { CredentialInjection, OpenUpstream, Upstream, UpstreamOpener } from '../../seams/upstream.ts';
import type { Containment } from './contain-process.ts';
import { type ClientInfo, INITIALIZED, initializeParams, negotiatedVersion } from './handshake.ts';
import { createRedactor } from './redaction.ts';
import { StdioConnection } from './stdio-connection.ts';
import { TextTail } from './text-tail.ts';
import { unreachable } from './upstream-faults.ts';

const DEFAULT_MAX_LINE_BYTES = 16 * 1024 * 1024;
const SHOWN_STDERR_BYTES = 4 * 1024;
/** Values below this length stand in commands by chance. */
const SHORTEST_TELLING_SECRET = 8;

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
}

export interface StdioOpener extends UpstreamOpener {
  /** Ends every connection that it opened. Idempotent. */
  close(): Promise<void>;
}

/** Opens connections to a server that the gateway starts: one process per connection, hence per task. */
export function createStdioOpener(options: StdioOpenerOptions): StdioOpener {
  const { containment, schedule, clientInfo, maxLineBytes = DEFAULT_MAX_LINE_BYTES } = options;
  const connections = new Set<StdioConnection>();
  let isClosed = false;

  async function open({ connector, injection, timeoutMs, signal }: OpenUpstream): Promise<Upstream> {
    const where = `connectors.${connector}`;
    if (isClosed) throw unreachable('The gateway is stopping', { where });
    refuseSecretInCommand(options.command, injection, where);
    const redactor = createRedactor(injection);
    const child = await containment.start({
      command: options.command,
      environment: { ...options.environment, ...revealAll(injection) },
      workingDirectory: options.workingDirectory,
    });
    const stderr = new TextTail(redactor, SHOWN_STDERR_BYTES);
    // Drained for as long as the child lives: a full pipe would stop it.
    const keep = (chunk: Buffer): void => stderr.push(chunk);
    child.stderr.on('data', keep);
    const connection = new StdioConnection({ child, schedule, maxLineBytes, where });
    connections.add(connection);
    void connection.closed.then(() => connections.delete(connection));
    const callOff = (): void => void connection.close();
    signal?.addEventListener('abort', callOff, { once: true });
    if (isClosed || signal?.aborted) callOff();
    try {
      const reply = await connection.request('initialize', initializeParams(clientInfo), { timeoutMs });
      negotiatedVersion(reply, where, redactor.redact);
    } catch (error) {
      await connection.close();
      throw withLastWords(error, stderr.read());
    } finally {
      signal?.removeEventListener('abort', callOff);
    }
    connection.notify(INITIALIZED);
    // What it says from now on may be about data: nobody shows it, so nobody keeps it.
    child.stderr.off('data', keep);
    child.stderr.resume();
    return connection;
  }

  return {
    open,
    async close() {
      isClosed = true;
      await Promise.all([...connections].map((connection) => connection.close()));
    },
  };
}

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
