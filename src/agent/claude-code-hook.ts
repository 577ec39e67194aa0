import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import { isJsonObject } from '../domain/json.ts';
import { ancestorsOf, clientAmong, type ParentOf, readParent } from './client-process.ts';
import { findPromptSockets } from './prompt-socket.ts';

export interface HookOptions {
  /** Where sessions of `remit connect` listen. */
  readonly folder: string;
  readonly agent: string;
  /** Hands over the prompt's words instead of their digest. What is kept is for the gateway's configuration to say. */
  readonly isTextSent: boolean;
  /** Process of the hook itself. */
  readonly pid: number;
  readonly parentOf?: ParentOf;
  readonly timeoutMs?: number;
}

/** Steps between a client and an MCP server that it started: npx and a shell, at most. */
const MOST_STEPS = 3;

/**
 * A `UserPromptSubmit` hook of Claude Code: takes the hook's JSON (`session_id`, `prompt`) and tells the session of `remit connect` that the same
 * Claude Code started. What a hook prints goes to the model, and what it refuses is lost to its user: this one prints nothing and refuses nothing.
 * @returns how many sessions took it
 */
export async function noteClaudeCodePrompt(input: string, options: HookOptions): Promise<number> {
  const said: unknown = JSON.parse(input);
  if (!isJsonObject(said) || typeof said.prompt !== 'string') return 0;
  const sessions = await sessionsOfClient(options);
  if (sessions.length === 0) return 0;
  const { prompt, session_id: session, prompt_id: id } = said;
  const digest = `sha256:${createHash('sha256').update(prompt, 'utf8').digest('hex')}`;
  const message = JSON.stringify({
    prompt: options.isTextSent ? { text: prompt } : { digest },
    ...(typeof session === 'string' && { session }),
    ...(typeof id === 'string' && { id }),
  });
  const answers = await Promise.all(sessions.map((path) => send(path, message, options.timeoutMs ?? 2_000)));
  return answers.filter((line) => line === 'ok').length;
}

/** Sockets of the sessions that the hook's own client started, and of no other that runs beside it. */
async function sessionsOfClient({ folder, agent, pid, parentOf = readParent }: HookOptions): Promise<string[]> {
  const client = clientAmong(await ancestorsOf(pid, parentOf));
  if (client === undefined) return [];
  let nearest = MOST_STEPS;
  let found: string[] = [];
  for (const session of await findPromptSockets(folder, agent)) {
    const steps = (await ancestorsOf(session.pid, parentOf)).findIndex((ancestor) => ancestor.pid === client.pid);
    if (steps === -1 || steps > nearest) continue;
    // A client within this client has a session of its own, farther away.
    if (steps < nearest) found = [];
    nearest = steps;
    found.push(session.path);
  }
  return found;
}

function send(path: string, message: string, timeoutMs: number): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const socket = connect(path, () => socket.end(message));
    const over = (): void => {
      socket.destroy();
      resolve(text.trim());
    };
    socket.setEncoding('utf8').setTimeout(timeoutMs, over);
    socket.on('data', (chunk: string) => {
      text += chunk;
    });
    socket.on('error', over).on('close', over);
  });
}
