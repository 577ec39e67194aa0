import { readFile, writeFile } from 'node:fs/promises';
import { configJsonSchema } from '../src/config/json-schema.ts';

/** Writes `schema/remit.schema.json` from the zod schema, or with `--check` fails when the file is not current. */
const path = 'schema/remit.schema.json';
const text = `${JSON.stringify(configJsonSchema(), null, 2)}\n`;
if (process.argv.includes('--check')) {
  const current = await readFile(path, 'utf8').catch(() => '');
  if (current !== text) {
    process.stderr.write(`${path} is not current: run \`npm run schema\` and commit the result\n`);
    process.exit(1);
  }
} else {
  await writeFile(path, text);
}
