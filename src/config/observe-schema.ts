import { z } from 'zod';
import { owner } from './schema-parts.ts';

/** Policies that are only observed for a while: what they deny is recorded as `wouldDeny` and let through. */
export const observeSchema = z
  .array(
    z
      .strictObject({
        agent: z.string().min(1).optional(),
        template: z.string().min(1).optional(),
        connector: z.string().min(1).optional(),
        until: z.iso.datetime({ offset: true }).describe('RFC 3339, at most 14 days ahead. From then on denials bind.'),
        owner,
        reason: z.string().min(1),
      })
      .refine(
        ({ agent, template, connector }) =>
          [agent, template, connector].filter((one) => one !== undefined).length === 1,
        'name exactly one of agent, template and connector',
      ),
  )
  .default([]);
