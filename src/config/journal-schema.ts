import { z } from 'zod';
import { allowPrivateNetwork, secretName, variableName } from './schema-parts.ts';

const s3 = z.strictObject({
  endpoint: z
    .url({ protocol: /^https?$/ })
    .describe('Of the service; the bucket is named in the path. Plain http on loopback only.'),
  bucket: z.string().regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, 'not the name of a bucket'),
  prefix: z
    .string()
    .regex(
      /^(?!.*\.\.)([A-Za-z0-9._-]+(\/[A-Za-z0-9._-]+)*)?$/,
      'words of A–Z, a–z, 0–9, ., _ and -, with slashes between them',
    )
    .max(512)
    .default('')
    .describe('In front of every name.'),
  region: z
    .string()
    .regex(/^[a-z0-9-]{1,64}$/, 'not the name of a region')
    .default('us-east-1'),
  accessKeyId: z.string().min(1).max(128),
  secretAccessKey: secretName.describe('Name of the vault secret with the key’s secret half.'),
  allowPrivateNetwork,
  caFile: z.string().min(1).optional().describe('Certificates in PEM that the service is verified against.'),
});

const postgres = z.strictObject({
  urlVariable: variableName.describe('Environment variable with the URL of the database, which may be the store’s.'),
  everySeconds: z
    .int()
    .min(1)
    .max(3600)
    .default(5)
    .describe('How often new records are added; under load all the time.'),
});

/** A segment is held in memory while it is sent. */
const MOST_SHIPPED_MIB = 128;

/** How the trail is kept, published and shipped. */
export const journalSchema = z
  .strictObject({
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
    ship: z
      .strictObject({
        s3: s3.optional().describe('A bucket for closed segments and the newest checkpoint.'),
        postgres: postgres.optional().describe('A table of records, without what is sealed, for queries.'),
      })
      .prefault({})
      .describe('Where the trail is copied to. Nothing that is served waits for it.'),
  })
  .refine(({ ship, segmentMiB }) => ship.s3 === undefined || segmentMiB <= MOST_SHIPPED_MIB, {
    path: ['segmentMiB'],
    error: `segments that are shipped have ${MOST_SHIPPED_MIB} MiB at most`,
  });
