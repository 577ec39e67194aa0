import { RemitError } from '../domain/errors.ts';
import type { ConnectorId } from '../domain/ids.ts';
import type { LeaseMode } from '../domain/lease.ts';

/** How a server is reached, as far as that decides where its credential can go. */
export type CredentialCarrier = 'http' | 'sse' | 'stdio';

/**
 * Which modes each kind of server can carry; the table in `docs/how-to/lease-credentials.md` is this one. A header goes with each request, so
 * that a call can have one of its own. A process has its credential from birth, in whatever part of it: a new one a call would be a new
 * process a call, which loses what the server keeps between calls.
 */
export const CARRIED_MODES: Readonly<Record<CredentialCarrier, readonly LeaseMode[]>> = {
  http: ['task', 'task_tool', 'call'],
  sse: ['task', 'task_tool', 'call'],
  stdio: ['task', 'task_tool'],
};

/** @throws `ERR_CONFIG_INVALID` for a mode that servers of this kind cannot carry */
export function assertModeIsCarried(connector: ConnectorId, carrier: CredentialCarrier, mode: LeaseMode): void {
  if (CARRIED_MODES[carrier].includes(mode)) return;
  throw new RemitError(
    'ERR_CONFIG_INVALID',
    `connector ${connector}: a ${carrier} server cannot have a credential a ${mode}`,
    {
      where: `connectors.${connector}.credential.mode`,
      hint: `A process has its credential from birth: use ${CARRIED_MODES[carrier].join(' or ')}.`,
    },
  );
}
