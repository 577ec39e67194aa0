import { z } from 'zod';
import { ACTION_CLASSES } from '../domain/tool.ts';
import { allowPrivateNetwork, secretName } from './schema-parts.ts';

const name = z.string().regex(/^[a-z][a-z0-9-]{0,62}$/, 'an id is 1–63 of a–z, 0–9 and -, starting with a letter');

const scope = {
  id: name.describe('Its name in decisions: `remit:external/<id>`.'),
  ask: z
    .array(z.enum(['call', 'discover']))
    .min(1)
    .default(['call'])
    .describe('Whether it is asked about calls, about listings, or both.'),
  agents: z.array(z.string().min(1)).min(1).optional().describe('Asked where one of these is in the chain.'),
  tools: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe('Asked about these: connector/tool, connector/*, connector/prompt:name, connector/resource:pattern.'),
  actionClasses: z.array(z.enum(ACTION_CLASSES)).min(1).optional().describe('Asked about calls of these classes.'),
  arguments: z
    .record(z.string().min(1), z.array(z.string().min(1)).min(1))
    .default({})
    .describe('By item: the arguments whose values it is told. Left out: none.'),
  reuseSeconds: z
    .int()
    .min(0)
    .max(3_600)
    .default(0)
    .describe('How long an answer to the very same question is used again; 0: never.'),
};

const remote = {
  ...scope,
  url: z
    .url({ protocol: /^https?$/ })
    .refine(isSafe, 'http only on this machine: use https')
    .describe('Address of the server, without the path of its API.'),
  token: secretName.optional().describe('Vault secret that is sent as a bearer token.'),
  allowPrivateNetwork,
  timeoutMs: z.int().min(10).max(30_000).default(2_000).describe('No answer by then denies.'),
};

/** Decisions travel in the clear only where they do not travel. */
function isSafe(url: string): boolean {
  const { protocol, hostname } = new URL(url);
  return protocol === 'https:' || ['localhost', '127.0.0.1', '[::1]'].includes(hostname);
}

const externalPolicy = z.discriminatedUnion(
  'kind',
  [
    z.strictObject({ kind: z.literal('authzen'), ...remote }).describe('AuthZEN Authorization API 1.0.'),
    z
      .strictObject({
        kind: z.literal('opa'),
        ...remote,
        path: z
          .string()
          .regex(/^[A-Za-z0-9_-]+(\/[A-Za-z0-9_-]+)*$/, 'a path is names with / between: remit/allow')
          .describe('Path of the rule below /v1/data.'),
      })
      .describe('A rule of an OPA server.'),
    z
      .strictObject({
        kind: z.literal('opa-wasm'),
        ...scope,
        file: z.string().min(1).describe('policy.wasm, or a bundle with it (.tar.gz).'),
        entrypoint: z
          .string()
          .regex(/^[A-Za-z0-9_-]+(\/[A-Za-z0-9_-]+)*$/, 'an entrypoint is names with / between: remit/allow')
          .describe('Rule that the module was built with.'),
      })
      .describe('A policy that OPA compiled to WebAssembly, evaluated in process.'),
  ],
  { error: 'kind is authzen, opa or opa-wasm' },
);

/** Decisions beyond the policies' own: whom Remit asks, and who may ask it. */
export const policySchema = z.strictObject({
  external: z
    .array(externalPolicy)
    .default([])
    .refine((all) => new Set(all.map((one) => one.id)).size === all.length, 'each needs an id of its own')
    .describe('Decision points outside: what Remit permits, each of them must permit as well.'),
  enforcementPoints: z
    .record(name, z.strictObject({ token: secretName.describe('Vault secret that it shows as a bearer token.') }))
    .default({})
    .describe('Who else may ask for decisions, by AuthZEN. None: the API is not served.'),
});

export type ExternalPolicyConfig = z.output<typeof policySchema>['external'][number];
