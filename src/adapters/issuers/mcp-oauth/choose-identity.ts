import type { ServerMetadata } from 'openid-client';
import { isJsonObject, type JsonObject } from '../../../domain/json.ts';
import { Secret } from '../../../domain/secret.ts';
import type { Fetch } from '../oauth-client.ts';
import type { Authorization, ClientMethod, OauthIdentity } from './authorization.ts';
import { isLoopback, refused } from './refused.ts';

export interface IdentityChoice {
  /** As configured, where the owner has registered Remit by hand. */
  readonly clientId: string | undefined;
  readonly hasSecret: boolean;
  /** Address of a client id metadata document that says who Remit is. */
  readonly documentUrl: string | undefined;
  readonly callback: string;
  /** The last authorization, whose registration may be good still. */
  readonly known: Authorization | undefined;
  readonly now: number;
  readonly fetch: Fetch;
}

const WITHIN_MS = 10_000;
/** RFC 6749 appendix A.1. */
const CLIENT_ID = /^[\x20-\x7e]{1,512}$/;
/** RFC 8414 section 2: what holds where the metadata say nothing. */
const USUAL: readonly string[] = ['client_secret_basic'];

/**
 * Who Remit is at an authorization server (MCP authorization, client registration approaches): registered by hand, by a document, by a
 * registration that is kept for this issuer, or by a new one (RFC 7591).
 * @throws `ERR_AUTHORIZATION_REFUSED` where none is to be had
 */
export async function chooseIdentity(metadata: ServerMetadata, choice: IdentityChoice): Promise<OauthIdentity> {
  const { clientId, hasSecret, documentUrl, callback, known, now } = choice;
  const methods = metadata.token_endpoint_auth_methods_supported ?? USUAL;
  const bare = { secret: undefined, secretExpiresAt: undefined, callback };
  if (clientId !== undefined) {
    const method = hasSecret ? secretMethod(methods) : methods.includes('none') ? 'none' : keyOrNone(methods);
    if (method === undefined) {
      throw refused(
        `its authorization server takes ${methods.join(', ')} and no client secret`,
        metadata.issuer,
        'Take clientSecret out of the configuration.',
      );
    }
    return { ...bare, id: clientId, source: 'configured', method };
  }
  if (documentUrl !== undefined && metadata.client_id_metadata_document_supported === true) {
    return { ...bare, id: documentUrl, source: 'document', method: 'none' };
  }
  const kept = known?.issuer === metadata.issuer ? known.identity : undefined;
  const isGood = kept?.source === 'registered' && kept.callback === callback && (kept.secretExpiresAt ?? now + 1) > now;
  return kept !== undefined && isGood ? kept : register(metadata, methods, choice);
}

const secretMethod = (methods: readonly string[]): ClientMethod | undefined =>
  (['client_secret_basic', 'client_secret_post'] as const).find((method) => methods.includes(method));
const keyOrNone = (methods: readonly string[]): ClientMethod =>
  methods.includes('private_key_jwt') ? 'private_key_jwt' : 'none';

/** What Remit says of itself, to be registered or fetched (RFC 7591 section 2). */
export function describeClient(callback: string, method: ClientMethod): JsonObject {
  return {
    client_name: 'Remit',
    redirect_uris: [callback],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: method,
    // SEP-837: a callback on loopback is that of a program on the owner's machine.
    application_type: isLoopback(new URL(callback)) ? 'native' : 'web',
  };
}

async function register(
  metadata: ServerMetadata,
  methods: readonly string[],
  { callback, fetch }: IdentityChoice,
): Promise<OauthIdentity> {
  const endpoint = metadata.registration_endpoint;
  if (endpoint === undefined) {
    throw refused(
      'its authorization server registers no clients by itself',
      metadata.issuer,
      `Register Remit there by hand, with the callback ${callback}, and name clientId and clientSecret in credential.mcpOauth.`,
    );
  }
  const asked = secretMethod(methods) ?? 'none';
  const response = await fetch(endpoint, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Accept: 'application/json' },
    body: JSON.stringify(describeClient(callback, asked)),
    signal: AbortSignal.timeout(WITHIN_MS),
  }).catch(() => undefined);
  const answer: unknown = await response?.json().catch(() => undefined);
  const isMade = response?.status === 201 || response?.status === 200;
  if (!isMade || !isJsonObject(answer) || typeof answer.client_id !== 'string' || !CLIENT_ID.test(answer.client_id)) {
    throw refused(
      `its authorization server did not register Remit (${response === undefined ? 'no answer' : `HTTP ${response.status}`})`,
      endpoint,
      'Try again; or register it by hand, and name clientId and clientSecret in credential.mcpOauth.',
    );
  }
  const { client_id: id, client_secret: secret, client_secret_expires_at: ends } = answer;
  const hasSecret = typeof secret === 'string' && secret !== '';
  const method = methodOf(answer.token_endpoint_auth_method ?? asked, hasSecret, endpoint);
  return {
    id,
    source: 'registered',
    method,
    secret: hasSecret ? new Secret(secret) : undefined,
    secretExpiresAt: typeof ends === 'number' && ends > 0 ? ends * 1000 : undefined,
    callback,
  };
}

function methodOf(given: unknown, hasSecret: boolean, where: string): ClientMethod {
  if (given === 'none') return 'none';
  if (given === 'client_secret_basic' || given === 'client_secret_post') return hasSecret ? given : 'none';
  throw refused(
    `its authorization server wants Remit to authenticate by ${JSON.stringify(given).slice(0, 60)}`,
    where,
    'Remit registers with client_secret_basic, client_secret_post or none. Register it by hand.',
  );
}
