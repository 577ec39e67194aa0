import { readPublicKeys } from '../agent/agent-key.ts';
import type { AgentId } from '../domain/ids.ts';
import type { Workspace } from './workspace.ts';

/** Registered agents with their public keys, as they are in their files now. @throws `ERR_AGENT_KEY` */
export function readAgents({
  estate,
  loaded,
}: Workspace): Promise<{ readonly id: AgentId; readonly jwks: Awaited<ReturnType<typeof readPublicKeys>> }[]> {
  return Promise.all(
    [...estate.agents.values()].map(async ({ id, publicKeys }) => ({
      id,
      jwks: await readPublicKeys(loaded.resolvePath(publicKeys)),
    })),
  );
}
