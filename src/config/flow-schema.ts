import { z } from 'zod';
import { ORIGINS, SINKS, TRUSTS } from '../domain/flow.ts';

/** What a profile and a template say of the flow of data. */

const kind = z.string().regex(/^[a-z][a-z0-9_-]{0,30}$/, 'a kind of value is 1–31 of a–z, 0–9, _ and -');
const name = z.string().min(1);
const pattern = z
  .string()
  .min(2)
  .max(512)
  .refine((text) => !text.slice(1, -1).includes('*'), 'a * stands at the start or the end');

const issuedField = z.union([kind, z.strictObject({ kind, trusted: z.boolean().default(false) })], {
  error: 'a kind of value, or an object with kind and trusted',
});

const criticalValue = z.union([kind, z.strictObject({ kind: kind.optional(), from: z.enum(ORIGINS).optional() })], {
  error: 'a kind of value, or an object with kind and from',
});

export const profileFlowShape = {
  source: z
    .strictObject({
      trust: z.enum(TRUSTS).default('untrusted').describe('untrusted: anybody may have written what comes back.'),
      fields: z.record(name, issuedField).default({}).describe('Members that a system issues, wherever they stand.'),
      format: z.enum(['json', 'yaml']).default('json').describe('How text is read for its fields.'),
    })
    .optional()
    .describe('What comes back.'),
  handle: z
    .array(z.string().regex(/^[^.]+(\.[^.]+)*$/, 'names of members with dots between'))
    .min(1)
    .optional()
    .describe('Members of results in whose place the agent gets handles.'),
  sink: z.enum(SINKS).optional().describe('Where a call can carry something.'),
  critical: z.record(name, criticalValue).optional().describe('Arguments that say to whom, which one, or what key.'),
  resource: z
    .record(name, kind)
    .optional()
    .describe('Arguments that name what is read or written, with their kinds; on a read: and nothing else comes back.'),
  destinations: z.array(pattern).optional().describe('Values that critical arguments may always have.'),
  asked: z.array(name).optional().describe('Words by which a person asks for it.'),
  inverse: name.optional().describe('The tool that undoes it.'),
};

export type ProfileFlowConfig = z.output<z.ZodObject<typeof profileFlowShape>>;

export const templateFlowSchema = z
  .strictObject({
    narrow: z.enum(['none', 'prompt']).default('none').describe('prompt: effects have to be asked for by a prompt.'),
    destinations: z.array(pattern).default([]).describe('Values that critical arguments may always have.'),
    crossings: z
      .array(z.string().regex(/^[^>]+>[^>]+$/, 'written from>to'))
      .default([])
      .describe('Zones between which what was read may go.'),
    outwardCalls: z.int().min(0).optional().describe('Calls that reach outside, before a person is asked.'),
    connectors: z.int().min(1).optional().describe('Connectors, before a person is asked.'),
  })
  .describe('What a task may do with what it has read.');

export type TemplateFlowConfig = z.output<typeof templateFlowSchema>;

const days = z.number().positive().max(36_500);

export const flowSchema = z
  .strictObject({
    stored: z
      .strictObject({
        labels: z
          .enum(['keep', 'off'])
          .default('keep')
          .describe('off: what one task stores, another reads unlabelled.'),
        thingDays: days.default(365).describe('How long a thing that was named keeps its labels after the last write.'),
        connectorDays: days.default(30).describe('The same of a whole connector, where what was written is not known.'),
      })
      .prefault({})
      .describe('Labels that stick to what tasks have stored.'),
    marked: z
      .strictObject({
        dataClasses: z.array(name).default([]).describe('Values of these go to no other zone, and to no outside.'),
        acrossTasksHours: z
          .number()
          .positive()
          .max(8_760)
          .optional()
          .describe('What one task has read of them counts for every other, so long. Left out: for its own family.'),
      })
      .prefault({})
      .describe('Classes of data whose values are known again where they come up.'),
  })
  .describe('What is kept of the flow of data across tasks.');
