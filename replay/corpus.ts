import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

/** One recorded call of a trace, with what the tool answered. */
export interface RecordedCall {
  readonly tool: string;
  readonly args: Readonly<Record<string, unknown>>;
  readonly result: unknown;
  readonly error?: unknown;
  /** Who wants the call; only attacks say. */
  readonly src?: 'user' | 'injection';
}

/** What one agent did: for its user alone, or led by text that it read. */
export interface Trace {
  readonly kind: 'benign' | 'attack';
  readonly suite: string;
  readonly user_task: string;
  readonly injection_task?: string;
  readonly prompt: string;
  readonly goal?: string;
  readonly calls: readonly RecordedCall[];
}

export interface Corpus {
  readonly traces: readonly Trace[];
  /** Definitions as `tools/list` gives them, by suite. */
  readonly tools: Readonly<Record<string, readonly ToolDefinition[]>>;
}

export interface ToolDefinition {
  readonly name: string;
  readonly description?: string;
  readonly inputSchema?: unknown;
}

/**
 * Reads every `*.jsonl` and `*.jsonl.gz` of a folder, one trace a line, and every `*tools.json`, definitions by suite.
 * @throws with what is missing, and how to name another folder
 */
export async function readCorpus(folder: string): Promise<Corpus> {
  const names = await readdir(folder).catch((cause: unknown) => {
    throw new Error(`there is no corpus at ${folder}: name its folder with --corpus DIR or REMIT_REPLAY_CORPUS`, {
      cause,
    });
  });
  const traces: Trace[] = [];
  for (const name of names.filter((one) => /\.jsonl(\.gz)?$/.test(one)).sort()) {
    const bytes = await readFile(join(folder, name));
    const text = (name.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8');
    for (const line of text.split('\n')) if (line.trim() !== '') traces.push(JSON.parse(line) as Trace);
  }
  const tools: Record<string, readonly ToolDefinition[]> = {};
  for (const name of names.filter((one) => one.endsWith('tools.json')).sort()) {
    Object.assign(tools, JSON.parse(await readFile(join(folder, name), 'utf8')));
  }
  const missing = traces.find(({ suite }) => tools[suite] === undefined);
  if (traces.length === 0) throw new Error(`${folder} holds no traces (*.jsonl, *.jsonl.gz)`);
  if (missing !== undefined)
    throw new Error(`${folder} holds no tool definitions (*tools.json) of the suite ${missing.suite}`);
  return { traces, tools };
}
