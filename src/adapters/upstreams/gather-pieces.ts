import type { Socket } from 'node:net';
import type { buildConnector } from 'undici';
import type { Schedule } from '../../seams/clock.ts';

/** So long, in milliseconds, a socket that brings small pieces one after the other is left alone between two looks. */
const PAUSE_MS = 1;
/** Pieces further apart are no run of them. */
const APART_MS = 3;
/** So many of a run are told at once first: an answer, or an event now and then, never waits. */
const AT_ONCE = 4;
/** Bytes at a time beyond which nothing is gained by waiting for more. */
const SMALL = 4 * 1024;

export interface GatherOptions {
  readonly schedule: Schedule;
  /** Milliseconds, from anywhere. */
  readonly now: () => number;
}

/** What tells of a piece; `_readableState` is what Node calls it, and where it were missing nothing but the saving would be. */
interface Told {
  emit: (name: string | symbol, first?: unknown, second?: unknown, third?: unknown) => boolean;
  write: (...given: never[]) => boolean;
  readonly _readableState?: { highWaterMark: number };
}

/**
 * A server that sends a hundred events does so in a hundred small writes, and each would cost a read, a turn of the parser and a write to the client. From
 * the fifth piece of a run on, a socket is looked at once a millisecond, and meanwhile not read: what has come by then is told together. Nothing
 * is held back from a call that is answered at once, since what is written to a socket begins a new run.
 */
export function gathering(connect: buildConnector.connector, options: GatherOptions): buildConnector.connector {
  const gather = createGatherer(options);
  return (to, callback) =>
    connect(to, (error, socket) => {
      if (error !== null) callback(error, null);
      else callback(null, gather(socket));
    });
}

/** @returns what makes a socket gather its pieces; one timer for all of them */
export function createGatherer({ schedule, now }: GatherOptions): (socket: Socket) => Socket {
  let waiting: (() => void)[] = [];
  const look = (): void => {
    const due = waiting;
    waiting = [];
    for (const tell of due) tell();
  };

  return (socket) => {
    const told = socket as unknown as Told;
    const { emit, write, _readableState: state } = told;
    const most = state?.highWaterMark;
    let run = 0;
    let lastAt = Number.NEGATIVE_INFINITY;
    let isWaiting = false;

    const endRun = (): void => {
      if (run >= AT_ONCE && state !== undefined && most !== undefined) state.highWaterMark = most;
      run = 0;
    };
    const tell = (): void => {
      isWaiting = false;
      lastAt = now();
      if (!socket.destroyed) emit.call(socket, 'readable');
    };

    told.write = (...given) => {
      endRun();
      return write.apply(socket, given);
    };
    told.emit = (name, first, second, third) => {
      if (name !== 'readable') return emit.call(socket, name, first, second, third);
      if (isWaiting) return true;
      const at = now();
      if (at - lastAt > APART_MS || socket.readableLength > SMALL) endRun();
      else run += 1;
      lastAt = at;
      if (run < AT_ONCE) return emit.call(socket, 'readable');
      // With room for nothing more, Node does not read either until this piece is taken.
      if (state !== undefined) state.highWaterMark = 1;
      isWaiting = true;
      waiting.push(tell);
      if (waiting.length === 1) schedule(PAUSE_MS, look);
      return true;
    };
    return socket;
  };
}
