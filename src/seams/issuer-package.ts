import type { ErrorCode } from '../domain/errors.ts';
import type { RandomBytes } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';
import type { Secret } from '../domain/secret.ts';
import type { Clock } from './clock.ts';
import type { Issuer } from './issuer.ts';

/** What `createIssuer` of a package gets: everything that it needs of Remit, so that it depends on nothing. */
export interface PackageParts {
  /** Of the configuration; to be checked by the package. */
  readonly settings: JsonObject;
  /** Asked at every use; undefined where the configuration names none. */
  readonly secret: () => Promise<Secret | undefined>;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly Secret: typeof Secret;
  /** An error as the gateway tells it. No secret in any part of it. */
  readonly fault: (
    code: Extract<ErrorCode, 'ERR_CREDENTIAL_ISSUE' | 'ERR_CREDENTIAL_REVOKE' | 'ERR_CONFIG_INVALID'>,
    message: string,
    more: { readonly hint: string; readonly where?: string },
  ) => Error;
}

/** What a package exports under that name. */
export type CreateIssuer = (parts: PackageParts) => Issuer | Promise<Issuer>;
