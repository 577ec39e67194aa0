#!/usr/bin/env node
import { existsSync } from 'node:fs';

const main = new URL('../dist/src/main.js', import.meta.url);
if (!existsSync(main)) {
  process.stderr.write('error: Remit is not built yet.\n  next:  run `npm run build` in its folder.\n');
  process.exit(70);
}
await import(main.href);
