import type { VaultLogin, VaultServer } from '../../../adapters/clouds/vault-client.ts';
import type { ConnectorConfig } from '../../../config/schema.ts';
import { guardedService } from './guarded-service.ts';
import { type MakerParts, secretOf } from './maker.ts';

type VaultSettings = NonNullable<NonNullable<ConnectorConfig['credential']>['vault']>;
type ServerSettings = Pick<VaultSettings, 'address' | 'namespace' | 'login' | 'allowPrivateNetwork' | 'caFile'>;

/** Longest that a login with a JWT may take. */
const ASSERTION_SECONDS = 60;

/** A Vault or OpenBao as a credential's section names it; `close` ends what it keeps open. */
export async function vaultServer(
  settings: ServerSettings,
  parts: MakerParts,
): Promise<VaultServer & { close: () => Promise<void> }> {
  const { address, namespace } = settings;
  const { fetch, close } = await guardedService(parts.workspace, address, settings);
  return {
    address,
    namespace,
    login: loginOf(settings.login, parts),
    fetch,
    clock: parts.workspace.system.clock,
    close,
  };
}

function loginOf(login: ServerSettings['login'], { workspace, tokens }: MakerParts): VaultLogin {
  const { token, approle, jwt } = login;
  if (token !== undefined) return { token: secretOf(workspace, token) };
  if (approle !== undefined) return { approle: { ...approle, secretId: secretOf(workspace, approle.secretId) } };
  if (jwt === undefined) throw new Error('a login without a way to log in');
  const { mount, role, audience } = jwt;
  const { clock, random } = workspace.system;
  const assertion = (): Promise<string> => {
    const iat = Math.floor(clock() / 1000);
    const jti = Buffer.from(random(16)).toString('base64url');
    return tokens.sign({ sub: 'remit-gateway', aud: audience, iat, exp: iat + ASSERTION_SECONDS, jti }, 'JWT');
  };
  return { jwt: { mount, role, assertion } };
}
