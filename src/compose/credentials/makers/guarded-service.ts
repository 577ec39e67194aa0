import { readFile } from 'node:fs/promises';
import { createGuardedFetch, type GuardedFetch } from '../../../adapters/upstreams/guarded-fetch.ts';
import { RemitError } from '../../../domain/errors.ts';
import type { Workspace } from '../../workspace.ts';

/** How a service is reached that an issuer asks: where its address may be, and whom it may be signed by. */
export async function guardedService(
  { loaded }: Pick<Workspace, 'loaded'>,
  address: string,
  { allowPrivateNetwork, caFile }: { readonly allowPrivateNetwork: boolean; readonly caFile?: string | undefined },
): Promise<GuardedFetch> {
  const { hostname } = new URL(address);
  const ca = caFile === undefined ? undefined : await readAuthority(loaded.resolvePath(caFile));
  return createGuardedFetch({ hostname, allowPrivateNetwork, ca });
}

async function readAuthority(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new RemitError('ERR_CONFIG_INVALID', 'the file with the certificates cannot be read', {
      where: path,
      hint: 'Name a file in PEM in caFile, or leave it out for a server that a public authority has signed.',
      cause,
    });
  }
}
