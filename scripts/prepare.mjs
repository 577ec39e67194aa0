// Builds after `npm ci`, with the types of what others import. An installation without development dependencies has no compiler, and brings its own dist/.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';

const compiler = new URL('../node_modules/typescript/bin/tsc', import.meta.url);
if (existsSync(compiler)) {
  for (const project of ['tsconfig.build.json', 'tsconfig.types.json']) {
    execFileSync(process.execPath, [compiler.pathname, '-p', project], { stdio: 'inherit' });
  }
}
