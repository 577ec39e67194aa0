import { expect, it } from 'vitest';
import { roomProblem } from '../../src/compose/disk-room.ts';

const MiB = 1024 * 1024;
const at = (free: number) => roomProblem('/data', async () => free);

it('a disk that is nearly full is told, and one that is full fails', async () => {
  expect(await at(300 * MiB)).toBeUndefined();
  expect(await at(100 * MiB)).toMatchObject({ state: 'warn', what: 'the disk of /data has 100 MiB left' });
  expect(await at(0)).toMatchObject({ state: 'fail', what: 'the disk of /data has 0 MiB left' });
});

it('of a folder that is not there nothing is said', async () => {
  expect(await roomProblem('/is/not/there')).toBeUndefined();
});
