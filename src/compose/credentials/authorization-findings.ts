import type { AuthorizationStore } from '../../adapters/issuers/mcp-oauth/authorization.ts';
import { TAKEN_AWAY } from '../../adapters/issuers/mcp-oauth/keep-rotated.ts';
import { over } from '../../adapters/issuers/mcp-oauth/usable.ts';
import { isRemitError } from '../../domain/errors.ts';
import type { EstateFinding } from '../connectors/estate-findings.ts';
import type { EstateConnector } from '../estate.ts';
import type { Workspace } from '../workspace.ts';
import { createAuthorizationStore } from './authorization-store.ts';
import { refreshTokenStore, renewalOf } from './oauth-refresh-setup.ts';

type Parts = Pick<Workspace, 'estate' | 'vault' | 'system'>;

/** What only its owner can mend of an authorization that connectors' tokens come from. */
export async function authorizationFindings(parts: Parts): Promise<EstateFinding[]> {
  const findings: EstateFinding[] = [];
  for (const connector of parts.estate.connectors.values()) {
    const store = storeOf(parts, connector);
    if (store !== undefined) findings.push(...(await findingsOf(connector, store)));
  }
  return findings;
}

function storeOf(
  { vault, system }: Parts,
  { id, config: { credential } }: EstateConnector,
): AuthorizationStore | undefined {
  if (credential?.mcpOauth !== undefined) return createAuthorizationStore(vault, id);
  return credential?.oauthRefresh && refreshTokenStore({ vault, system }, id, credential.oauthRefresh);
}

async function findingsOf({ id, owner, config }: EstateConnector, store: AuthorizationStore): Promise<EstateFinding[]> {
  const common = { refs: [`connectors.${id}`], owner } as const;
  const renewal = renewalOf(id, config.credential?.oauthRefresh?.refreshToken);
  try {
    const { ended, unanswered, issuer } = (await store.read())?.authorization ?? {};
    if (ended !== undefined) {
      const when = new Date(ended.at).toISOString();
      const next = over({ connector: id, renewal }, ended.reason).hint ?? renewal;
      const how = ended.reason === TAKEN_AWAY ? 'was taken away' : `is taken no more by ${issuer} (${ended.reason})`;
      return [
        {
          ...common,
          severity: 'high',
          kind: 'authorization_ended',
          text: `its authorization ${how} since ${when}: calls are refused`,
          next,
        },
      ];
    }
    if (unanswered === undefined) return [];
    const since = new Date(unanswered.at).toISOString();
    const text = `nobody knows what became of a refresh at ${since}: its answer did not arrive, and the refresh token may be used up`;
    return [
      {
        ...common,
        severity: 'medium',
        kind: 'authorization_unanswered',
        text,
        next: `Its next lease shows it. If that is refused: ${renewal}`,
      },
    ];
  } catch (error) {
    // Findings of their own: missing_secret.
    if (isRemitError(error, 'ERR_SECRET_MISSING')) return [];
    if (!isRemitError(error, 'ERR_CREDENTIAL_ISSUE')) throw error;
    return [
      {
        ...common,
        severity: 'high',
        kind: 'authorization_elsewhere',
        text: error.message,
        next: error.hint ?? renewal,
      },
    ];
  }
}
