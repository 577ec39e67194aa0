import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import type { JWK } from 'jose';
import { readAgentKey } from '../agent/agent-key.ts';
import { digestOf } from '../audit/prompts.ts';
import { placesOf } from '../compose/workspace.ts';
import type { LoadedConfig } from '../config/load-config.ts';
import type { GivenPrompt } from '../domain/prompt.ts';
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

export const promptOption = (c: Command): Command =>
  c.option(
    '--prompt-file <file>',
    'the prompt that the work follows from, for the trail: its digest goes with the task',
  );

/** Its text only leaves this process where the configuration keeps texts. */
export async function readPrompt(
  { config }: LoadedConfig,
  { promptFile }: { readonly promptFile?: string },
): Promise<{ prompt?: GivenPrompt }> {
  if (promptFile === undefined) return {};
  // Flow reads the words, whatever is kept of them; the trail is content with their digest.
  const isRead = config.prompts === 'text' || Object.values(config.templates).some(({ flow }) => flow !== undefined);
  if (config.prompts === 'off' && !isRead) return {};
  const given: GivenPrompt = { text: await readFile(promptFile, 'utf8') };
  return { prompt: isRead ? given : { digest: digestOf(given) } };
}
