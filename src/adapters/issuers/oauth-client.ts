import type { CryptoKey } from 'jose';
import {
  allowInsecureRequests,
  type ClientAuth,
  Configuration,
  customFetch,
  PrivateKeyJwt,
  type ServerMetadata,
} from 'openid-client';
import { RemitError } from '../../domain/errors.ts';
import type { Secret } from '../../domain/secret.ts';
import { clientSecretBasic } from './client-secret-basic.ts';
import { findServer } from './mcp-oauth/find-server.ts';

export type Fetch = (address: string, init: RequestInit) => Promise<Response>;

/** An authorization server that is none of ours, and who Remit is there. */
export interface OauthServer {
  /** Its issuer identifier. Plain http only on loopback. */
  readonly server: string;
  readonly clientId: string;
  /** Asked at every request. Undefined: `private_key_jwt` with the key of `clientKey`. */
  readonly clientSecret: (() => Promise<Secret>) | undefined;
  readonly clientKey: () => Promise<{ key: CryptoKey; kid?: string }>;
  /** Goes nowhere but where the server may be: a name can resolve to anything. */
  readonly fetch: Fetch;
}

/** What a token of it opens, with the client: another one may not revoke its tokens, and would be told that there are none (RFC 7009 section 2.1). */
export const downstreamOf = ({ server, clientId }: Pick<OauthServer, 'server' | 'clientId'>): string =>
  `${server} as ${clientId}`;

export interface OauthClient {
  /** What its metadata say, once they have been read. */
  metadata(): ServerMetadata | undefined;
  /** For one call: its requests end with the signal. */
  configure(signal: AbortSignal): Promise<Configuration>;
}

const REQUEST_SECONDS = 10;
const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])$/;

/** @throws `ERR_CONFIG_INVALID` for plain http to anywhere but this host */
export function createOauthClient(options: OauthServer): OauthClient {
  const { server, clientId, clientSecret, clientKey } = options;
  const url = new URL(server);
  const isPlain = url.protocol === 'http:';
  if (isPlain && !LOOPBACK.test(url.hostname)) {
    throw new RemitError('ERR_CONFIG_INVALID', `the authorization server ${server} is not reached over https`, {
      where: 'credential.oauth.server',
      hint: 'Plain http is taken on loopback only: tokens and client secrets travel there.',
    });
  }
  let known: ServerMetadata | undefined;

  const fetchWith =
    (signal: AbortSignal) =>
    (address: string, init: { signal?: AbortSignal | null | undefined }): Promise<Response> => {
      const both = init.signal === undefined || init.signal === null ? signal : AbortSignal.any([init.signal, signal]);
      return options.fetch(address, { ...(init as RequestInit), signal: both });
    };

  async function authentication(): Promise<ClientAuth> {
    if (clientSecret !== undefined) return clientSecretBasic(await clientSecret());
    return PrivateKeyJwt(await clientKey());
  }

  /** Remembered once it was read: what a server is does not change while a gateway runs. */
  const discover = (signal: AbortSignal): Promise<ServerMetadata> => findServer(server, server, fetchWith(signal));

  return {
    metadata: () => known,
    async configure(signal) {
      known ??= await discover(signal);
      const configuration = new Configuration(known, clientId, undefined, await authentication());
      configuration.timeout = REQUEST_SECONDS;
      configuration[customFetch] = fetchWith(signal);
      if (isPlain) allowInsecureRequests(configuration);
      return configuration;
    },
  };
}
