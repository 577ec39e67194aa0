import { z } from 'zod';
import { policyCasesSchema } from './policy-case-schema.ts';
import { configSchema } from './schema.ts';

/** JSON Schema of `remit.yaml`, generated from the zod schema; `schema/remit.schema.json` is a copy kept current by `npm run check`. */
export function configJsonSchema(): object {
  return jsonSchemaOf(configSchema, 'remit.yaml', 'Configuration of a Remit gateway.');
}

/** JSON Schema of `*.cases.yaml`; `schema/cases.schema.json` is a copy. */
export function casesJsonSchema(): object {
  return jsonSchemaOf(policyCasesSchema, '*.cases.yaml', 'Test cases of Remit’s policies.');
}

function jsonSchemaOf(schema: z.ZodType, title: string, description: string): object {
  return { ...z.toJSONSchema(schema, { io: 'input', target: 'draft-7' }), title, description };
}
