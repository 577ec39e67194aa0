import { readFile } from 'node:fs/promises';
import type { Config } from '../config/schema.ts';

/** Connections of clients beyond those of sessions: modern clients, token requests, health checks. */
const WITHOUT_SESSION = 1_024;
/** Descriptors of one connection to a connector at most: the pipes of a process, and what contains it. */
const OF_CONNECTION = 6;
/** Sockets that one connector over HTTP takes for calls at most, whatever the number of its connections. */
const OF_HTTP_CONNECTOR = 128;
/** Descriptors of the store, the journal, the administration socket and Node itself. */
const OWN = 128;

/** Whether the process may open as many files as the configuration lets it need (fault 19). */
export interface LimitsCheck {
  /** Bound on connections of clients: what the configuration asks for, or what the process has room for. */
  readonly maxConnections: number;
  /** File descriptors that all bounds together can take up; one connection of a client is one. */
  readonly needed: number;
  /** Soft limit of the process; undefined where there is none, or where it cannot be read. */
  readonly available: number | undefined;
  /** What is wrong and what to do about it; undefined when nothing is. */
  readonly problem: { readonly what: string; readonly hint: string } | undefined;
}

/**
 * Adds up what the bounds of the configuration allow to be open at one time. Where it is more than the process may open, connections of clients
 * get what is left over, and at least half: without descriptors the journal could not go on, and nothing would be served at all.
 */
export function checkLimits(
  { sessions, limits, connectors }: Pick<Config, 'sessions' | 'limits' | 'connectors'>,
  available: number | undefined,
): LimitsCheck {
  const wanted = sessions.max + WITHOUT_SESSION;
  const overHttp = Object.values(connectors).filter(({ transport }) => !('stdio' in transport)).length;
  const others = limits.connections * OF_CONNECTION + overHttp * OF_HTTP_CONNECTOR + OWN;
  const needed = wanted + others;
  if (available === undefined || needed <= available) {
    return { maxConnections: wanted, needed, available, problem: undefined };
  }
  const maxConnections = Math.min(wanted, Math.max(available - others, Math.floor(available / 2)));
  const isTight = others > available / 2;
  return {
    maxConnections,
    needed,
    available,
    problem: {
      what: `the bounds of the configuration allow ${needed} open files, the process may have ${available}: at most ${maxConnections} connections of clients are taken${isTight ? ', and connectors may find none left' : ''}`,
      hint: 'Raise the limit (`ulimit -n`, or LimitNOFILE= of the service), or lower sessions.max and limits.connections.',
    },
  };
}

/** Soft limit on open files of this process. Node has raised it to the hard one by then. Undefined: unlimited, or not known. */
export async function readOpenFilesLimit(path = '/proc/self/limits'): Promise<number | undefined> {
  const text = await readFile(path, 'utf8').catch(() => '');
  const soft = /^Max open files\s+(\d+)/m.exec(text)?.[1];
  return soft === undefined ? undefined : Number(soft);
}
