import type { ChildProcess } from 'node:child_process';

/** A connection as `node:cluster` holds it; closing it again does nothing. */
interface Held {
  close(): void;
}

/** Whom a connection was given to last: one that a worker did not take is given to another. */
const givenTo = new WeakMap<Held, ChildProcess>();

/**
 * The primary of `node:cluster` keeps a connection that it gives to a worker open until that worker says that it has it, and gives it no other before. Of the one that is under way to a
 * worker that is killed nobody says anything, so that its client would wait for ever: it is closed with the worker.
 */
export function closeUnaccepted(child: ChildProcess): void {
  let last: Held | undefined;
  const send = child.send.bind(child) as (...parts: readonly unknown[]) => boolean;
  child.send = (...parts: readonly unknown[]) => {
    const [message, connection] = parts as [{ readonly act?: unknown } | undefined, Held | undefined];
    // Node's internal/cluster/round_robin_handle.js. Where it says otherwise one day, nothing is closed here.
    if (message?.act === 'newconn' && connection !== undefined) {
      last = connection;
      givenTo.set(connection, child);
    }
    return send(...parts);
  };
  child.once('exit', () => {
    if (last !== undefined && givenTo.get(last) === child) last.close();
  });
}
