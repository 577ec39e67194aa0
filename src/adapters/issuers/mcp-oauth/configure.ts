import {
  allowInsecureRequests,
  type ClientAuth,
  ClientSecretPost,
  Configuration,
  customFetch,
  None,
  PrivateKeyJwt,
  type ServerMetadata,
} from 'openid-client';
import { RemitError } from '../../../domain/errors.ts';
import { clientSecretBasic } from '../client-secret-basic.ts';
import type { OauthIdentity } from './authorization.ts';
import type { McpOauthSetup } from './setup.ts';

const REQUEST_SECONDS = 10;

/** For one exchange with an authorization server whose metadata were checked. */
export async function configure(
  { fetch, clientSecret, clientKey }: Pick<McpOauthSetup, 'fetch' | 'clientSecret' | 'clientKey'>,
  metadata: ServerMetadata,
  identity: OauthIdentity,
): Promise<Configuration> {
  const authentication = await authenticationOf(identity, clientSecret, clientKey);
  const configuration = new Configuration(metadata, identity.id, undefined, authentication);
  configuration.timeout = REQUEST_SECONDS;
  configuration[customFetch] = (address, init) => fetch(address, init as RequestInit);
  // It was let through on loopback only.
  if (metadata.issuer.startsWith('http:')) allowInsecureRequests(configuration);
  return configuration;
}

async function authenticationOf(
  { method, secret, source }: OauthIdentity,
  clientSecret: McpOauthSetup['clientSecret'],
  clientKey: McpOauthSetup['clientKey'],
): Promise<ClientAuth> {
  if (method === 'none') return None();
  if (method === 'private_key_jwt') return PrivateKeyJwt(await clientKey());
  const known = source === 'configured' ? await clientSecret?.() : secret;
  if (known === undefined) {
    throw new RemitError(
      'ERR_CREDENTIAL_ISSUE',
      'Remit was authorised with a client secret that is not configured any more',
      {
        hint: 'Put clientSecret back, or authorise anew.',
      },
    );
  }
  return method === 'client_secret_post' ? ClientSecretPost(known.reveal()) : clientSecretBasic(known);
}
