import { expect, it } from 'vitest';
import { throughLocks } from '../../src/compose/nodes/through-locks.ts';
import { type ErrorCode, RemitError } from '../../src/domain/errors.ts';

const failing = (times: number, code: ErrorCode) => {
  let tried = 0;
  const work = async (): Promise<number> => {
    tried += 1;
    if (tried <= times) throw new RemitError(code, 'another session holds a lock');
    return tried;
  };
  return { work, tried: () => tried };
};

it('a lock that another node has for a while is waited for again, one that stays is told', async () => {
  expect(await throughLocks(failing(3, 'ERR_STORE_LOCKED').work)).toBe(4);
  const stays = failing(9, 'ERR_STORE_LOCKED');
  await expect(throughLocks(stays.work)).rejects.toMatchObject({ code: 'ERR_STORE_LOCKED' });
  expect(stays.tried()).toBe(4);
});

it('nothing else is tried again', async () => {
  const away = failing(1, 'ERR_STORE_UNREACHABLE');
  await expect(throughLocks(away.work)).rejects.toMatchObject({ code: 'ERR_STORE_UNREACHABLE' });
  expect(away.tried()).toBe(1);
});
