import type { ConnectorConfig } from '../../config/schema.ts';

/** Something about how a connector gets its credential that its owner should know. */
export interface CredentialFinding {
  readonly kind: string;
  readonly severity: 'high' | 'medium' | 'low';
  readonly what: string;
  readonly hint: string;
}

export function credentialFindings({ credential }: ConnectorConfig): readonly CredentialFinding[] {
  if (credential === undefined) return [];
  const findings: CredentialFinding[] = [];
  if (credential.inject.arguments.length > 0) {
    findings.push({
      kind: 'credential_in_arguments',
      severity: 'high',
      what: 'its credential is among the arguments of its process: every user of the host can read it while the process runs',
      hint: 'Have the server read a variable or a file descriptor, and use inject.environment or inject.descriptors.',
    });
  }
  const endless = endsNothing(credential);
  if (endless !== undefined) {
    findings.push({
      kind: 'no_native_expiry',
      severity: 'medium',
      what: `${endless} ends no user by itself: where the gateway does not come back, its leases live until \`remit reap\` runs`,
      hint: 'Run `remit reap --every 60` beside the gateway, on another host where the store can be reached from there.',
    });
  }
  const free = Object.entries(credential.ssh?.classes ?? {}).filter(([, allowed]) => allowed?.anyCommand === true);
  if (free.length > 0) {
    findings.push({
      kind: 'any_command',
      severity: 'medium',
      what: `certificates of ${free.map(([name]) => name).join(', ')} run any command, and a session that is open is ended by nothing`,
      hint: 'Force a command that does what the connector is for, and ends at {until}.',
    });
  }
  if (credential.mcpOauth?.sharedToken !== undefined) {
    const { owner, reason, expires } = credential.mcpOauth.sharedToken;
    findings.push({
      kind: 'shared_token',
      severity: 'medium',
      what: `all its leases may be one access token, that none of them revokes, under an exception of ${owner} until ${expires}: ${reason}`,
      hint: 'Ask who runs the server for refresh tokens, and take sharedToken out then.',
    });
  }
  return findings;
}

/** The system whose credentials have no end of their own, by its name. */
function endsNothing({ redis, mysql }: NonNullable<ConnectorConfig['credential']>): string | undefined {
  if (redis !== undefined) return 'Redis';
  return mysql !== undefined && mysql.eventDatabase === undefined ? 'MariaDB or MySQL without events' : undefined;
}
