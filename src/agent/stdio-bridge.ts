import type { Readable, Writable } from 'node:stream';
import { request } from 'undici';
import { messageOf } from '../domain/errors.ts';
import { readLines } from './read-lines.ts';
import type { TaskSession } from './task-session.ts';

/** How long replies are waited for after the client has closed its end. */
const GRACE_MS = 30_000;

/**
 * A stdio MCP server that passes each message on to the gateway with the task's token. Knows nothing of MCP but the JSON-RPC
 * envelope. Resolves when the client closes its end and every open request has been answered (or `graceMs` has passed).
 */
export async function bridgeStdio(options: {
  readonly session: TaskSession;
  readonly input: Readable;
  readonly output: Writable;
  readonly onProblem: (message: string) => void;
  readonly graceMs?: number;
}): Promise<void> {
  const { session, output } = options;
  const pending = new Set<Promise<void>>();
  let version: string | undefined;
  // A client that died takes no more replies; the task must still be ended by the caller.
  output.on('error', (error) => options.onProblem(`the client is gone: ${messageOf(error)}`));

  async function post(line: string, token: string): Promise<{ status: number; text: string; type: string }> {
    const response = await request(session.mcpUrl, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        authorization: `Bearer ${token}`,
        ...(version !== undefined && { 'mcp-protocol-version': version }),
      },
      body: line,
      headersTimeout: 0,
      bodyTimeout: 0,
    });
    return {
      status: response.statusCode,
      text: await response.body.text(),
      type: String(response.headers['content-type'] ?? ''),
    };
  }

  async function relay(line: string, message: { id?: unknown; method?: unknown }): Promise<void> {
    try {
      let answer = await post(line, await session.token());
      // A 401 means that nothing was forwarded: asking again with a fresh token repeats no effect.
      if (answer.status === 401) answer = await post(line, await session.refresh());
      const replies = messagesOf(answer.text, answer.type);
      for (const reply of replies) write(reply, message, answer.status);
      if (replies.length === 0 && message.id !== undefined)
        fail(message.id, `Remit: the gateway gave no reply (HTTP ${answer.status})`);
    } catch (error) {
      options.onProblem(messageOf(error));
      if (message.id !== undefined) fail(message.id, `Remit: ${messageOf(error)}`);
    }
  }

  function write(reply: string, message: { id?: unknown; method?: unknown }, status: number): void {
    const parsed = JSON.parse(reply) as Reply;
    // Refused before anything spoke JSON-RPC, for example by the gateway's header check or by a proxy on the way.
    if (parsed.jsonrpc !== '2.0')
      throw new Error(`HTTP ${status}: ${parsed.error_description ?? 'the answer is not JSON-RPC'}`);
    if (message.method === 'initialize' && parsed.result?.protocolVersion !== undefined)
      version = parsed.result.protocolVersion;
    // Errors before the id was read carry `null`: the client can only match them by the id it sent.
    if (parsed.id === null && message.id !== undefined) fail(message.id, parsed.error?.message ?? 'refused');
    // One line a message: a line break in JSON text stands between tokens, never inside a string.
    else output.write(`${reply.replace(/[\r\n]+/g, ' ')}\n`);
  }

  function fail(id: unknown, message: string): void {
    output.write(`${JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32000, message } })}\n`);
  }

  for await (const line of readLines(options.input)) {
    if (line.trim() === '') continue;
    const message = readEnvelope(line);
    if (message === undefined) {
      output.write(
        `${JSON.stringify({ jsonrpc: '2.0', id: null, error: { code: -32700, message: 'Parse error' } })}\n`,
      );
      continue;
    }
    const relayed = relay(line, message).finally(() => pending.delete(relayed));
    pending.add(relayed);
    // The agreed version goes into the headers of everything that follows.
    if (message.method === 'initialize') await relayed;
  }
  let timer: NodeJS.Timeout | undefined;
  const grace = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, options.graceMs ?? GRACE_MS);
  });
  await Promise.race([Promise.all(pending), grace]);
  clearTimeout(timer);
}

interface Reply {
  readonly jsonrpc?: unknown;
  readonly id?: unknown;
  readonly error?: { readonly message?: string };
  readonly error_description?: string;
  readonly result?: { readonly protocolVersion?: string };
}

/** The part of a message that relaying needs; undefined when the line is no JSON. What JSON it is, is for the gateway to judge. */
function readEnvelope(line: string): { id?: unknown; method?: unknown } | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return value !== null && typeof value === 'object' ? value : {};
  } catch {
    return undefined;
  }
}

function messagesOf(text: string, type: string): string[] {
  if (text.trim() === '') return [];
  if (!type.includes('text/event-stream')) return [text.trim()];
  return text
    .split(/\r?\n\r?\n/)
    .map((event) =>
      event
        .split(/\r?\n/)
        .filter((line) => line.startsWith('data:'))
        .map((line) => line.slice(5).trimStart())
        .join('\n'),
    )
    .filter((data) => data !== '');
}
