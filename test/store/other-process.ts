import { openSqlite } from '../../src/adapters/store/open-sqlite.ts';
import { taskId } from '../../src/domain/ids.ts';
import { ACME, sampleTask } from './samples.ts';

/**
 * A second process on the store of `sqlite.test.ts`: writes 50 tasks and reads in between, then says what it saw; or,
 * told `forever`, writes and acknowledges until it is killed.
 */
const [path = '', mode] = process.argv.slice(2);
process.stdin.on('close', () => process.exit(1)).resume();
const store = await openSqlite({ path, busyMs: 5_000 });

if (mode === 'forever') {
  for (let n = 1; ; n++) {
    await store.tasks.insert(sampleTask({ id: taskId(`tsk_${n}`) }));
    process.stdout.write(`${n}\n`);
  }
}

process.stdout.write('open\n');
let torn = 0;
for (let n = 0; n < 50; n++) {
  await store.tasks.insert(sampleTask({ id: taskId(`tsk_theirs_${n}`) }));
  const ours = (await store.tasks.list(ACME)).filter(({ id }) => id.startsWith('tsk_ours'));
  const newest = ours.at(-1);
  if (newest !== undefined && (await store.taskKeys.get(ACME, newest.id)) === undefined) torn++;
}
process.stdout.write(`${JSON.stringify({ written: 50, torn })}\n`);
await store.close();
process.exit(0);
