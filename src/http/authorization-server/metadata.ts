import { CLIENT_ALGORITHMS, CLIENT_CREDENTIALS, TOKEN_EXCHANGE } from './agent-clients.ts';
import { TASK_TYPE } from './authorization-details.ts';

/** Paths of the authorization server, below the origin of the issuer. */
export const PATHS = {
  metadata: '/.well-known/oauth-authorization-server',
  openidMetadata: '/.well-known/openid-configuration',
  jwks: '/oauth/jwks',
  token: '/oauth/token',
  authorization: '/oauth/authorize',
} as const;

/**
 * Authorization server metadata (RFC 8414), also given for OpenID Connect discovery. Built from the issuer alone:
 * oidc-provider derives its URLs from the Host header, which the caller chooses.
 *
 * `authorization_endpoint` is named although no grant uses it (RFC 8414 section 2 then makes it optional): the official
 * MCP SDK refuses metadata without one. It answers every request with an error.
 */
export function authorizationServerMetadata(issuer: string, resource: string): Record<string, unknown> {
  return {
    issuer,
    authorization_endpoint: `${issuer}${PATHS.authorization}`,
    token_endpoint: `${issuer}${PATHS.token}`,
    jwks_uri: `${issuer}${PATHS.jwks}`,
    response_types_supported: [],
    grant_types_supported: [TOKEN_EXCHANGE, CLIENT_CREDENTIALS],
    token_endpoint_auth_methods_supported: ['private_key_jwt'],
    token_endpoint_auth_signing_alg_values_supported: [...CLIENT_ALGORITHMS],
    authorization_details_types_supported: [TASK_TYPE],
    protected_resources: [resource],
    // Required by OpenID Connect discovery; no id token is ever issued.
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['ES256'],
  };
}

/** Where the metadata of a protected resource is served: RFC 9728 section 3.1 puts the well-known part before the path. */
export function protectedResourceMetadataPath(resource: string): string {
  const { pathname } = new URL(resource);
  return `/.well-known/oauth-protected-resource${pathname === '/' ? '' : pathname}`;
}

/** Protected resource metadata (RFC 9728 section 2). */
export function protectedResourceMetadata(options: { resource: string; issuer: string }): Record<string, unknown> {
  return {
    resource: options.resource,
    authorization_servers: [options.issuer],
    bearer_methods_supported: ['header'],
    authorization_details_types_supported: [TASK_TYPE],
    resource_name: 'Remit',
  };
}
