import { once } from 'node:events';
import { openPostgres } from '../../src/adapters/store/open-postgres.ts';

/** A process of `lost-network.test.ts`: uses its store, is cut off from it, is told to stop, and ends by itself when nothing is left to do. */
const store = await openPostgres({ url: process.env.REMIT_TEST_STORE ?? '', statementMs: 200 });
process.stdout.write('open\n');
await once(process.stdin, 'data');
process.stdin.destroy();
await store.close();
