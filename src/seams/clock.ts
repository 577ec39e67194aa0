/** Wall clock, milliseconds since the epoch. Injected: no layer below `compose` reads the time itself. */
export type Clock = () => number;

/** Runs `task` after `ms`; the returned function cancels. Injected so that tests own the time. */
export type Schedule = (ms: number, task: () => void) => () => void;

/** Where features say what a person running the gateway should know. Never given a secret. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
