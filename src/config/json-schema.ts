import { z } from 'zod';
import { configSchema } from './schema.ts';

/** JSON Schema of `remit.yaml`, generated from the zod schema; `schema/remit.schema.json` is a copy kept current by `npm run check`. */
export function configJsonSchema(): object {
  return {
    ...z.toJSONSchema(configSchema, { io: 'input', target: 'draft-7' }),
    title: 'remit.yaml',
    description: 'Configuration of a Remit gateway.',
  };
}
