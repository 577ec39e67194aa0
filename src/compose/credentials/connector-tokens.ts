import { type CryptoKey, importJWK, type JWK, SignJWT } from 'jose';
import type { ConnectorConfig } from '../../config/schema.ts';
import { RemitError } from '../../domain/errors.ts';
import { loadOrCreateSigningKeys, type SigningKeys } from '../../http/authorization-server/signing-keys.ts';
import { KEY_SETTLE_MS } from '../nodes/follow-keys.ts';
import type { Workspace } from '../workspace.ts';

/** Longest life of a token for a connector: that of a lease, with what a downstream's shortest life may add. */
const MOST_TOKEN_SECONDS = 3_600;

/** Kinds whose issuer has the gateway sign something. */
function needsSigning(credential: ConnectorConfig['credential']): boolean {
  if (credential === undefined) return false;
  const { jwt, oauth, mcpOauth, idJag, oauthRefresh, vault, static: kept } = credential;
  return [jwt, oauth, mcpOauth, idJag, oauthRefresh, vault?.login.jwt, kept?.vaultKv?.login.jwt].some(
    (kind) => kind !== undefined,
  );
}

/** The key that issuers sign with, for connectors and foreign authorization servers. Never one that signs task tokens. */
export interface ConnectorTokens {
  /** Matches `SignAssertion` of the issuers. @throws `ERR_CONFIG_INVALID` while nobody knows the gateway's URL */
  sign(claims: Readonly<Record<string, unknown>>, type: string): Promise<string>;
  /** For `private_key_jwt` at a foreign authorization server. */
  clientKey(): Promise<{ key: CryptoKey; kid: string }>;
  /** To be shown in the gateway's key set; none before one was needed. */
  publicKeys(): readonly JWK[];
  /** Makes a new key where there is one; the old one verifies until its last token has expired. */
  rotate(): Promise<void>;
  /** Reads whether another node has made a new key. @throws `ERR_STORE_*` */
  refresh(): Promise<void>;
  /** Loads the key, where a connector needs one; from then on it is shown. */
  open(url: string): Promise<void>;
}

export function createConnectorTokens(workspace: Workspace): ConnectorTokens {
  const { config, estate, store, vault, system } = workspace;
  const isNeeded = [...estate.connectors.values()].some(({ config: { credential } }) => needsSigning(credential));
  let url = config.publicUrl?.replace(/\/+$/, '');
  let keys: SigningKeys | undefined;
  let loading: Promise<SigningKeys> | undefined;
  let imported: { jwk: JWK; key: Promise<CryptoKey> } | undefined;

  function load(): Promise<SigningKeys> {
    loading ??= loadOrCreateSigningKeys({
      repository: store.connectorKeys,
      seal: (name, bytes) => vault.seal(name, bytes),
      open: (name, sealed) => vault.open(name, sealed),
      clock: system.clock,
      log: system.log,
      tokenSeconds: MOST_TOKEN_SECONDS,
      ...(store.shared !== undefined && { settleMs: KEY_SETTLE_MS }),
    }).then(
      (loaded) => {
        keys = loaded;
        return loaded;
      },
      (error: unknown) => {
        loading = undefined;
        throw error;
      },
    );
    return loading;
  }

  async function current(): Promise<{ key: CryptoKey; kid: string }> {
    const jwk = (await load()).current();
    if (imported?.jwk !== jwk) imported = { jwk, key: importJWK(jwk, 'ES256') as Promise<CryptoKey> };
    return { key: await imported.key, kid: String(jwk.kid) };
  }

  return {
    async sign(claims, type) {
      if (url === undefined) {
        throw new RemitError('ERR_CONFIG_INVALID', 'nobody knows yet as whom to sign', {
          where: 'publicUrl',
          hint: 'Name the gateway’s public URL: it is the issuer of what it signs.',
        });
      }
      const { key, kid } = await current();
      return new SignJWT({ iss: url, ...claims }).setProtectedHeader({ alg: 'ES256', typ: type, kid }).sign(key);
    },
    clientKey: current,
    publicKeys: () => keys?.publicJwks().keys ?? [],
    async rotate() {
      await keys?.rotate();
    },
    async refresh() {
      await keys?.refresh();
    },
    async open(served) {
      url = served;
      if (isNeeded) await load();
    },
  };
}
