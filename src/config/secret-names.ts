import { z } from 'zod';
import { credentialSchema } from './credential-schema.ts';
import type { ConnectorConfig } from './schema.ts';
import { SECRET_NAME } from './schema-parts.ts';

/** One use of a vault's secret by a connector. */
export interface SecretUse {
  readonly secret: string;
  /** Where the configuration names it, below `credential`: `static.secret`, `postgres.adminPassword`. */
  readonly at: string;
}

interface Shape {
  readonly pattern?: string;
  readonly properties?: Readonly<Record<string, Shape>>;
}

/** Paths of a credential that name a secret: read off the schema, so that an issuer's new setting is never forgotten. */
const PATHS = pathsOf(z.toJSONSchema(credentialSchema, { io: 'input', unrepresentable: 'any' }) as Shape, []);

function pathsOf({ pattern, properties = {} }: Shape, path: readonly string[]): (readonly string[])[] {
  if (pattern === SECRET_NAME.source) return [path];
  return Object.entries(properties).flatMap(([key, shape]) => pathsOf(shape, [...path, key]));
}

/** Secrets of the vault that a connector's credential is made with. */
export function secretsOf(connector: ConnectorConfig): SecretUse[] {
  return PATHS.flatMap((path) => {
    let value: unknown = connector.credential;
    for (const key of path) value = (value as Readonly<Record<string, unknown>> | undefined)?.[key];
    return typeof value === 'string' ? [{ secret: value, at: path.join('.') }] : [];
  });
}

/** Where the configuration may name a secret, below `credential`. */
export const SECRET_PATHS: readonly string[] = PATHS.map((path) => path.join('.'));
