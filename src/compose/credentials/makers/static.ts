import { createStaticIssuer } from '../../../adapters/issuers/static-issuer.ts';
import { boundException } from '../shared-secrets.ts';
import { staticPlace } from '../static-place.ts';
import type { IssuerMaker, MakerParts } from './maker.ts';
import { vaultServer } from './vault-server.ts';

type StaticSettings = Parameters<IssuerMaker<'static'>>[0];

export const makeStaticIssuer: IssuerMaker<'static'> = async (settings, parts) => {
  const { config, system } = parts.workspace;
  const exception = boundException(config, parts.connector.id, settings);
  const source = await secretSource(settings, parts);
  const downstream = `secret ${staticPlace(settings)}`;
  const issuer = createStaticIssuer({ downstream, ...source, exception, clock: system.clock });
  return { issuer, lapsesAt: Date.parse(exception.expires) };
};

async function secretSource(
  { secret = '', vaultKv }: StaticSettings,
  parts: MakerParts,
): Promise<Pick<Parameters<typeof createStaticIssuer>[0], 'secret' | 'close'>> {
  if (vaultKv === undefined) return { secret: () => parts.workspace.vault.getVersioned(secret) };
  const { close, ...server } = await vaultServer(vaultKv, parts);
  const { createVaultKvReader } = await import('../../../adapters/issuers/vault-kv.ts');
  const { mount, path, key } = vaultKv;
  return { secret: createVaultKvReader({ ...server, mount, path, key }), close };
}
