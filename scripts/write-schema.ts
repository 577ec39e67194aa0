import { readFile, writeFile } from 'node:fs/promises';
import { casesJsonSchema, configJsonSchema } from '../src/config/json-schema.ts';

/** Writes the JSON Schemas in `schema/` from the zod schemas, or with `--check` fails when a file is not current. */
for (const [path, schema] of [
  ['schema/remit.schema.json', configJsonSchema()],
  ['schema/cases.schema.json', casesJsonSchema()],
] as const) {
  const text = `${JSON.stringify(schema, null, 2)}\n`;
  if (process.argv.includes('--check')) {
    const current = await readFile(path, 'utf8').catch(() => '');
    if (current !== text) {
      process.stderr.write(`${path} is not current: run \`npm run schema\` and commit the result\n`);
      process.exit(1);
    }
  } else {
    await writeFile(path, text);
  }
}
