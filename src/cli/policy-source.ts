import { resolve } from 'node:path';
import type { Command } from 'commander';
import { readFolder, readInForce, type SourcedPolicies } from '../compose/policies/read-in-force.ts';
import { placesOf, type Workspace } from '../compose/workspace.ts';
import type { LoadedConfig } from '../config/load-config.ts';
import { RemitError } from '../domain/errors.ts';
import { withWorkspace } from './with-workspace.ts';

export interface PoliciesOption {
  readonly policies?: string;
}

export const policiesOption = (c: Command): Command =>
  c.option('--policies <folder>', 'look at the policies of this folder instead of those in force');

const readNamed = (folder: string): Promise<SourcedPolicies> => readFolder(resolve(folder), { isNamed: true });

/** Of a folder that was named, else what is in force. @throws as `readInForce` */
export const readSource = (named: string | undefined, workspace: Workspace): Promise<SourcedPolicies> =>
  named === undefined ? readInForce(workspace) : readNamed(named);

/** The same without a workspace: it is opened where gateways share policies by their store, and not otherwise. @throws as `readInForce`, `openWorkspace` */
export async function openSource(
  options: PoliciesOption & { readonly config: string },
  loaded: LoadedConfig,
): Promise<SourcedPolicies> {
  if (options.policies !== undefined) return await readNamed(options.policies);
  if (loaded.config.store.kind !== 'postgres') return await readFolder(placesOf(loaded).policies);
  return await withWorkspace(options, readInForce);
}

/** Where it cannot be read what is in force, a folder can be named: that is said with it. */
export async function orNameFolder<T>(option: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof RemitError)) throw error;
    const { code, message, where, hint = '' } = error;
    throw new RemitError(code, message, {
      ...(where !== undefined && { where }),
      hint: `${hint} Or name a folder of policies with ${option}.`.trim(),
      cause: error,
    });
  }
}
