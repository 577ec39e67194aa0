import { z } from 'zod';
import { secretName } from './schema-parts.ts';

const headerName = z.string().regex(/^[A-Za-z0-9-]+$/, 'not a header name');

/** What is told to operators’ systems. */
export const telemetrySchema = z.strictObject({
  otlp: z
    .strictObject({
      url: z
        .url({ protocol: /^https?$/ })
        .describe('Endpoint for traces of an OTLP/HTTP collector, whole: …/v1/traces.'),
      headers: z
        .record(headerName, secretName)
        .default({})
        .describe('Headers by name, each the name of the vault secret that holds its whole value.'),
    })
    .optional()
    .describe('Where spans go.'),
  metrics: z
    .strictObject({ port: z.int().min(0).max(65_535).describe('On 127.0.0.1; 0 takes a free one.') })
    .optional()
    .describe('Serves /metrics for Prometheus.'),
});
