import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import type { LoadedConfig } from '../../../config/load-config.ts';
import { messageOf, RemitError } from '../../../domain/errors.ts';
import { isJsonObject, type JsonObject } from '../../../domain/json.ts';
import { Secret } from '../../../domain/secret.ts';
import type { Issuer } from '../../../seams/issuer.ts';
import type { PackageParts } from '../../../seams/issuer-package.ts';
import { type IssuerMaker, optionalSecret } from './maker.ts';

export const makePackageIssuer: IssuerMaker<'package'> = async (settings, { workspace, connector }) => {
  const { module } = settings;
  const { clock, random } = workspace.system;
  const where = `connectors.${connector.id}.credential.package`;
  const createIssuer = await load(workspace.loaded, module, where);
  const parts: PackageParts = {
    settings: settings.settings as JsonObject,
    secret: optionalSecret(workspace, settings.secret),
    clock,
    random,
    Secret,
    fault: (code, message, more) => new RemitError(code, message, more),
  };
  const issuer: unknown = await createIssuer(parts);
  assertIssuer(issuer, module, where);
  return { issuer };
};

/** A file as of the configuration's folder, a package as that folder finds it. */
async function load(loaded: LoadedConfig, module: string, where: string): Promise<(parts: PackageParts) => unknown> {
  const hint = 'Install it where the configuration is, or name a file that begins with ./';
  let found: { readonly createIssuer?: unknown };
  try {
    const isFile = module.startsWith('.') || module.startsWith('/');
    const path = isFile ? loaded.resolvePath(module) : createRequire(loaded.path).resolve(module);
    found = (await import(pathToFileURL(path).href)) as typeof found;
  } catch (cause) {
    throw new RemitError('ERR_CONFIG_INVALID', `${module} cannot be loaded: ${messageOf(cause)}`, {
      where,
      hint,
      cause,
    });
  }
  const { createIssuer } = found;
  if (typeof createIssuer === 'function') return createIssuer as (parts: PackageParts) => unknown;
  throw new RemitError('ERR_CONFIG_INVALID', `${module} has no createIssuer`, {
    where,
    hint: 'Export a function of that name: docs/how-to/write-an-issuer.md builds one.',
  });
}

const CLASSES = new Set(['immediate', 'next_use', 'expiry_only']);

/** What can be seen without using it; the rest is the suite's. */
function assertIssuer(issuer: unknown, module: string, where: string): asserts issuer is Issuer {
  const lacks = (): string | undefined => {
    if (!isJsonObject(issuer)) return 'is not an object';
    if (typeof issuer.kind !== 'string' || !/^[a-z][a-z0-9_-]*$/.test(issuer.kind)) return 'has no kind';
    if (typeof issuer.downstream !== 'string' || issuer.downstream === '') return 'does not name its downstream';
    const { minTtlSeconds } = issuer;
    if (typeof minTtlSeconds !== 'number' || !(minTtlSeconds >= 0)) return 'does not say its shortest life';
    if (!CLASSES.has(String(issuer.revocation))) return 'does not say what a revoke is worth';
    const missing = ['issue', 'revoke', 'close'].find((name) => typeof issuer[name] !== 'function');
    return missing === undefined ? undefined : `has no ${missing}`;
  };
  const lack = lacks();
  if (lack === undefined) return;
  throw new RemitError('ERR_CONFIG_INVALID', `what ${module} made is no issuer: it ${lack}`, {
    where,
    hint: 'Have it pass the issuer suite: docs/how-to/write-an-issuer.md.',
  });
}
