import { readFile } from 'node:fs/promises';
import type { JWK } from 'jose';
import { readAgentKey } from '../agent/agent-key.ts';
import { placesOf } from '../compose/workspace.ts';
import type { LoadedConfig } from '../config/load-config.ts';
import type { Clock } from '../seams/clock.ts';
import { findGateway } from './admin-client.ts';

/** Options of the commands that act as an agent. */
export interface AgentOptions {
  readonly agent: string;
  readonly url?: string;
  readonly key?: string;
  readonly userTokenFile?: string;
}

/** Where an agent's session goes and how it proves itself: read from the options, else from where the configuration says. */
export async function readSessionOptions(
  loaded: LoadedConfig,
  { agent, url, key, userTokenFile }: AgentOptions,
): Promise<{ gateway: string; agent: string; key: JWK; subjectToken?: string; clock: Clock }> {
  return {
    gateway: await findGateway(loaded, url),
    agent,
    key: await readAgentKey(key ?? placesOf(loaded).agentKey(agent)),
    ...(userTokenFile !== undefined && { subjectToken: (await readFile(userTokenFile, 'utf8')).trim() }),
    clock: Date.now,
  };
}
