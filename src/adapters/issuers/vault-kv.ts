import { Secret } from '../../domain/secret.ts';
import { objectOf, secondsOf, textOf } from '../clouds/ask-json.ts';
import { createVaultClient, pathOf, type VaultServer } from '../clouds/vault-client.ts';
import { issueFault, orAbort } from './issuer-faults.ts';

export interface VaultKvOptions extends VaultServer {
  readonly mount: string;
  readonly path: string;
  /** The one member that is read. */
  readonly key: string;
}

/**
 * Reads one key of a KV engine, version 2, each time: a long-lived secret that somebody else keeps. Nothing is leased, and nothing can be
 * revoked. @throws `ERR_CREDENTIAL_ISSUE`
 */
export function createVaultKvReader(
  options: VaultKvOptions,
): (signal: AbortSignal) => Promise<{ secret: Secret; version: number }> {
  const { mount, path, key } = options;
  const vault = createVaultClient(options);

  async function read(signal: AbortSignal): Promise<{ secret: Secret; version: number }> {
    const answer = await vault.ask({ method: 'GET', path: `${pathOf(mount)}/data/${pathOf(path)}`, signal });
    const found = objectOf(answer, 'data');
    const version = secondsOf(objectOf(found, 'metadata'), 'version');
    return { secret: new Secret(textOf(objectOf(found, 'data'), key)), version };
  }

  return async (signal) => {
    try {
      return await orAbort(read(signal), signal, ({ secret }) => secret.wipe());
    } catch (error) {
      throw issueFault(error, signal, {
        where: vault.where,
        what: `${key} of ${mount}/${path} could not be read`,
        hint: 'See that Remit can log in there and has a policy to read it: version 2 of the KV engine has data/ in its paths.',
      });
    }
  };
}
