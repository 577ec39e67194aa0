import { type ServerMetadata, tokenRevocation } from 'openid-client';
import type { OauthIdentity } from './authorization.ts';
import { configure } from './configure.ts';
import type { McpOauthSetup } from './setup.ts';

/** Revokes what is not going to be used (RFC 7009), where the server does that. Best effort: nobody has it but this process. */
export async function giveBack(
  setup: McpOauthSetup,
  metadata: ServerMetadata,
  identity: OauthIdentity,
  tokens: readonly (string | undefined)[],
): Promise<void> {
  if (metadata.revocation_endpoint === undefined) return;
  const configuration = await configure(setup, metadata, identity).catch(() => undefined);
  if (configuration === undefined) return;
  for (const token of tokens) if (token !== undefined) await tokenRevocation(configuration, token).catch(() => {});
}
