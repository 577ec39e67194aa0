import { readFileSync } from 'node:fs';
import { holdYoungHeap } from './cli/young-heap.ts';

// Before all that the commands load.
holdYoungHeap();
const { runCli } = await import('./cli/run-cli.ts');

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};
// A reader that has seen enough (`remit audit export | head`) is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});
await runCli(process.argv.slice(2), version);
