import { z } from 'zod';

/** How the trail is kept, published and shipped. */
export const journalSchema = z.strictObject({
  segmentMiB: z.int().min(1).max(1024).default(32).describe('A segment of the journal is full at this size.'),
  segmentHours: z.int().min(1).max(8760).default(24).describe('A segment of the journal ends at this age.'),
  keepDays: z
    .int()
    .min(1)
    .max(36_500)
    .optional()
    .describe('Records that are older are removed, whole segments at a time, on record. Left out: none is.'),
  keepMiB: z
    .int()
    .min(1)
    .max(1_048_576)
    .optional()
    .describe('The oldest segments are removed, on record, while all together are larger. Left out: none is.'),
  publish: z
    .strictObject({
      file: z
        .string()
        .min(1)
        .optional()
        .describe('The newest checkpoint is kept in this file, outside the data folder.'),
      url: z
        .url({ protocol: /^https?$/ })
        .optional()
        .describe('The newest checkpoint is POSTed here; GET gives it back.'),
      everySeconds: z.int().min(1).max(3600).default(10),
    })
    .prefault({})
    .describe('Where checkpoints are published: a journal that is rolled back behind one is not served on.'),
  witnessSeconds: z
    .int()
    .min(1)
    .max(3600)
    .default(30)
    .describe('Among several gateways: checkpoints of the others are recorded at most once in this time.'),
});
