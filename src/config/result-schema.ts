import { z } from 'zod';

const path = z
  .string()
  .max(256)
  .regex(/^[^.]+(\.[^.]+)*$/, 'names of members with dots between, such as customer.iban')
  .refine((text) => !text.endsWith('**'), 'a path ends with a name');

/** What an owner lets come back of an item. */
export const resultSchema = z
  .strictObject({
    drop: z.array(path).default([]).describe('Members that are left out: customer.iban, **.password.'),
    mask: z.array(path).default([]).describe('Members that a note stands in place of.'),
    secrets: z.enum(['mask', 'pass']).default('pass').describe('mask: secrets in well-known formats are masked.'),
    maxBytes: z.int().min(256).optional().describe('Largest result.'),
    over: z.enum(['truncate', 'refuse']).default('refuse').describe('What becomes of a larger one.'),
  })
  .describe('What is taken out of results before an agent sees them.');
