// Builds after `npm ci`. An installation without development dependencies has no compiler, and brings its own dist/.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';

const compiler = new URL('../node_modules/typescript/bin/tsc', import.meta.url);
if (existsSync(compiler)) {
  execFileSync(process.execPath, [compiler.pathname, '-p', 'tsconfig.build.json'], { stdio: 'inherit' });
}
