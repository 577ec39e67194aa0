import { readFile } from 'node:fs/promises';
import type { CredentialKind } from '../../../config/credential-schema.ts';
import type { ConnectorConfig } from '../../../config/schema.ts';
import { RemitError } from '../../../domain/errors.ts';
import { Secret } from '../../../domain/secret.ts';
import type { Issuer } from '../../../seams/issuer.ts';
import type { EstateConnector } from '../../estate.ts';
import type { Workspace } from '../../workspace.ts';
import type { ConnectorTokens } from '../connector-tokens.ts';

type Credential = NonNullable<ConnectorConfig['credential']>;

/** What an issuer is made of, beside its own settings. */
export interface MakerParts {
  readonly workspace: Workspace;
  readonly tokens: ConnectorTokens;
  readonly connector: EstateConnector;
}

export interface MadeIssuer {
  readonly issuer: Issuer;
  /** When its credential is refused whatever becomes of the task: an exception's end. Milliseconds since the epoch. */
  readonly lapsesAt?: number;
}

/** Makes the issuer of one kind. It loads the adapter itself: libraries that only another kind needs stay where they are. */
export type IssuerMaker<K extends CredentialKind> = (
  settings: NonNullable<Credential[K]>,
  parts: MakerParts,
) => Promise<MadeIssuer>;

/** Asks the vault at each use: a secret that was rotated is the new one at once. */
export const secretOf =
  ({ vault }: Pick<Workspace, 'vault'>, name: string) =>
  (): Promise<Secret> =>
    vault.get(name);

/** Reads a file at each use: what an orchestrator puts there is replaced while it lives. @throws `ERR_CREDENTIAL_ISSUE` */
export const secretIn =
  ({ loaded }: Pick<Workspace, 'loaded'>, file: string) =>
  async (): Promise<Secret> => {
    const path = loaded.resolvePath(file);
    const text = (await readFile(path, 'utf8').catch(() => '')).trim();
    if (text !== '') return new Secret(text);
    throw new RemitError('ERR_CREDENTIAL_ISSUE', `${path} has no token in it, or cannot be read`, {
      where: path,
      hint: 'See that the file is there and that the gateway’s user may read it.',
    });
  };

/** As `secretOf`; undefined where the configuration names none. */
export const optionalSecret =
  ({ vault }: Pick<Workspace, 'vault'>, name: string | undefined) =>
  async (): Promise<Secret | undefined> =>
    name === undefined ? undefined : vault.get(name);
