import { calculateJwkThumbprint, compactVerify, importJWK, type JSONWebKeySet, type JWK } from 'jose';
import type { ClientMetadata } from 'oidc-provider';
import { RemitError } from '../../domain/errors.ts';
import type { AgentId } from '../../domain/ids.ts';

/** An agent as the configuration registers it: its id is the OAuth `client_id`. */
export interface AgentClient {
  readonly id: AgentId;
  /** Public keys only: P-256 (ES256) or Ed25519 (EdDSA). */
  readonly jwks: JSONWebKeySet;
}

export const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
export const CLIENT_CREDENTIALS = 'client_credentials';
/** `Ed25519` is the fully specified name of RFC 9864 for what RFC 8037 calls `EdDSA`. */
export const CLIENT_ALGORITHMS = ['ES256', 'EdDSA', 'Ed25519'] as const;

const PRIVATE_PARAMETERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'k', 'priv'];

/**
 * Agents as statically configured clients that authenticate with `private_key_jwt` and nothing else.
 * @throws `ERR_AGENT_KEY` for an empty key set, a private or symmetric key, or another kind of key
 */
export function toClientMetadata(agent: AgentClient): ClientMetadata {
  const fail = (message: string, hint: string): never => {
    throw new RemitError('ERR_AGENT_KEY', message, { where: `agents.${agent.id}.publicKeys`, hint });
  };
  const { keys } = agent.jwks;
  if (!Array.isArray(keys) || keys.length === 0) {
    fail(`agent '${agent.id}' has no public key`, 'Make a key pair with: remit agent keygen.');
  }
  for (const key of keys) {
    if (PRIVATE_PARAMETERS.some((name) => name in key)) {
      fail(
        `the key file of agent '${agent.id}' holds a private key`,
        'Register the public key only, and replace this pair.',
      );
    }
    if (keyKind(key) === undefined) {
      fail(
        `agent '${agent.id}' has a key that is neither P-256 nor Ed25519`,
        'Make a key pair with: remit agent keygen.',
      );
    }
  }
  return {
    client_id: agent.id,
    token_endpoint_auth_method: 'private_key_jwt',
    grant_types: [CLIENT_CREDENTIALS, TOKEN_EXCHANGE],
    response_types: [],
    redirect_uris: [],
    jwks: {
      keys: keys.map(({ kty, crv, x, y, kid }) => ({ kty, crv, x, ...(y && { y }), ...(kid && { kid }), use: 'sig' })),
    },
  };
}

function keyKind(key: JWK): 'ES256' | 'EdDSA' | undefined {
  if (key.kty === 'EC' && key.crv === 'P-256' && key.x && key.y) return 'ES256';
  if (key.kty === 'OKP' && key.crv === 'Ed25519' && key.x) return 'EdDSA';
  return undefined;
}

/**
 * Thumbprint (RFC 7638) of the key that signed an assertion which oidc-provider has already verified: the record then
 * tells which running instance it was. Looks only among the agent's own keys.
 */
export async function findAssertionKey(agent: AgentClient, assertion: string): Promise<string | undefined> {
  for (const jwk of agent.jwks.keys) {
    const alg = keyKind(jwk);
    if (alg === undefined) continue;
    try {
      const { kty, crv, x, y } = jwk;
      const key = await importJWK({ kty, crv, x, ...(y && { y }) } as JWK, alg);
      await compactVerify(assertion, key, { algorithms: [...CLIENT_ALGORITHMS] });
      return await calculateJwkThumbprint(jwk);
    } catch {
      // Signed by another of the agent's keys.
    }
  }
  return undefined;
}
