import { chmod, mkdir, readdir, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { messageOf } from '../domain/errors.ts';
import { isJsonObject } from '../domain/json.ts';
import { type GivenPrompt, readGivenPrompt } from '../domain/prompt.ts';
import type { PromptContext } from './task-session.ts';

/** Bytes of a path that every system takes (`sun_path` of macOS, with its end). */
const LONGEST_PATH = 103;
const LONGEST_MESSAGE = 256 * 1024;

/** Where `remit connect` of an agent listens for the hooks of its client. */
export const promptSocketPath = (folder: string, agent: string, pid: number): string =>
  join(folder, `${agent}.${pid}.sock`);

export interface PromptSocket {
  close(): Promise<void>;
}

/**
 * Listens, for this user alone, for what a hook of the client says of prompts: one JSON object a connection, answered with a line. Holds no
 * secret and gives none.
 * @returns undefined, and says why, where it cannot: prompts are then not on the trail, and nothing else is lost
 */
export async function openPromptSocket(options: {
  folder: string;
  agent: string;
  pid: number;
  take: (prompt: GivenPrompt, about: PromptContext) => Promise<void>;
  onProblem: (message: string) => void;
}): Promise<PromptSocket | undefined> {
  const { folder, agent, pid, take, onProblem } = options;
  const path = promptSocketPath(folder, agent, pid);
  if (Buffer.byteLength(path) > LONGEST_PATH) {
    onProblem(`prompts cannot be put on the trail by a hook: the path of the data folder is too long (${folder})`);
    return undefined;
  }
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    let text = '';
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.setEncoding('utf8');
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk: string) => {
      text += chunk;
      if (text.length > LONGEST_MESSAGE) socket.destroy();
    });
    socket.on('end', () => {
      void answer(text).then((line) => socket.end(`${line}\n`));
    });
  });
  async function answer(text: string): Promise<string> {
    try {
      const said: unknown = JSON.parse(text);
      const prompt = isJsonObject(said) ? readGivenPrompt(said.prompt) : undefined;
      if (!isJsonObject(said) || prompt === undefined) return 'refused: no prompt';
      await take(prompt, {
        ...(typeof said.session === 'string' && { session: said.session }),
        ...(typeof said.id === 'string' && { id: said.id }),
      });
      return 'ok';
    } catch (error) {
      onProblem(`a prompt could not be put on the trail: ${messageOf(error)}`);
      return 'failed';
    }
  }
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await rm(path, { force: true });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      const before = process.umask(0o177);
      server.listen(path, resolve);
      process.umask(before);
    });
    await chmod(path, 0o600);
  } catch (error) {
    onProblem(`prompts cannot be put on the trail by a hook: ${messageOf(error)}`);
    return undefined;
  }
  server.unref();
  return {
    async close() {
      // A hook that waits for an answer must not hold up the end of the session.
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
      await rm(path, { force: true });
    },
  };
}

/** Sockets of an agent's sessions, by the process that listens. One whose process is gone is no session any more. */
export async function findPromptSockets(folder: string, agent: string): Promise<{ path: string; pid: number }[]> {
  const names = await readdir(folder).catch(() => []);
  return names.flatMap((name) => {
    const [of, pid, end] = name.split('.');
    return of === agent && end === 'sock' && /^\d+$/.test(pid ?? '')
      ? [{ path: join(folder, name), pid: Number(pid) }]
      : [];
  });
}
