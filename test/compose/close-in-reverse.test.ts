import { expect, it } from 'vitest';
import { closeInReverse, doneOrLate } from '../../src/compose/close-in-reverse.ts';
import type { Log } from '../../src/seams/clock.ts';

function listening(): { log: Log; said: string[] } {
  const said: string[] = [];
  const say = (_: unknown, message?: string): void => void said.push(message ?? '');
  return { log: { info: say, warn: say, error: say, debug: say } as unknown as Log, said };
}

it('closes the last first, and the others although one cannot be closed', async () => {
  const { log, said } = listening();
  const closed: number[] = [];
  const failing = (): never => {
    throw new Error('no');
  };
  await closeInReverse([() => closed.push(1), failing, () => closed.push(2)], log);
  expect(closed).toEqual([2, 1]);
  expect(said).toEqual(['a part could not be closed cleanly']);
});

it('a stop does not wait for ever for what it cannot reach: what is not done in time is said', async () => {
  const { log, said } = listening();
  let pass = (): void => {};
  const schedule = (_: number, task: () => void) => {
    pass = task;
    return () => {};
  };
  let isOver = false;
  const stop = doneOrLate([new Promise(() => {}), Promise.reject(new Error('no'))], { log, schedule }, 'late').then(
    () => {
      isOver = true;
    },
  );
  await new Promise((resolve) => setImmediate(resolve));
  expect(isOver).toBe(false);
  pass();
  await stop;
  expect(said).toEqual(['late']);
});

it('and waits for nothing when all is done, or has failed, which is said', async () => {
  const { log, said } = listening();
  let isCalledOff = false;
  const schedule = () => () => {
    isCalledOff = true;
  };
  await doneOrLate([Promise.resolve(), Promise.reject(new Error('no'))], { log, schedule }, 'late');
  expect(isCalledOff).toBe(true);
  expect(said).toEqual(['a part could not be closed cleanly']);
});
