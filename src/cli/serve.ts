import type { RunningGateway } from '../compose/running-gateway.ts';
import type { System } from '../compose/system.ts';
import type { StartedWorker } from '../compose/workers/keep-workers.ts';
import type { Worker } from '../compose/workers/worker.ts';
import { openWorkspace } from '../compose/workspace.ts';
import { ERROR_EXIT_CODES } from '../domain/errors.ts';
import type { Output } from './output.ts';
import { letYoungHeapGrow } from './young-heap.ts';

/** A gateway in this process, until it is told to stop or can serve no more. */
export async function serve(output: Output, config: string, system: System, version: string): Promise<void> {
  const stopped = waitForSignal();
  await runGateway({ config, system, version, stopped, onStart: (gateway) => tellStart(output, gateway), output });
}

/** @throws what a start throws; everything that was opened is closed by then */
export async function runGateway(parts: {
  config: string;
  system: System;
  version: string;
  worker?: Worker;
  /** Resolves, with why, when it is to stop. */
  stopped: Promise<string>;
  onStart: (gateway: RunningGateway) => void;
  output: Pick<Output, 'note'>;
}): Promise<void> {
  const workspace = await openWorkspace(parts.config, parts.system, parts.worker);
  let gateway: RunningGateway;
  try {
    // What a gateway is made of takes most of a second to load: whoever keeps workers needs none of it, and a wrong configuration is told without.
    const { startGateway } = await import('../compose/start-gateway.ts');
    gateway = await startGateway(workspace, parts.version);
  } catch (error) {
    await workspace.close();
    throw error;
  }
  letYoungHeapGrow();
  parts.onStart(gateway);
  const asked = parts.stopped.then((why) => ({ why, code: undefined }));
  const { why, code } = await Promise.race([asked, gateway.failed]);
  if (code !== undefined) parts.system.log.error({ what: why, code }, 'the gateway can serve no more: it stops');
  parts.output.note(`stopping (${why}): tasks’ credentials are being revoked`);
  await gateway.close();
  await workspace.close();
  // Whoever supervises it must not take for a wanted end what was none.
  process.exitCode = code === undefined ? 0 : ERROR_EXIT_CODES[code];
}

function tellStart(output: Output, gateway: RunningGateway): void {
  const { url, revokeOnly, wayOn } = gateway;
  if (revokeOnly !== undefined) {
    tellRevokeOnly(output, url, revokeOnly, wayOn ?? '');
  } else {
    tellServing(output, gateway, {});
  }
}

/** The one line that says that everything is served. @param more members of the JSON event */
export function tellServing(
  output: Output,
  {
    url,
    listens,
    tools,
    undescribed,
    problems,
  }: Pick<StartedWorker, 'url' | 'listens' | 'tools' | 'undescribed' | 'problems'>,
  more: Readonly<Record<string, unknown>>,
  who = `pid ${process.pid}`,
): void {
  if (output.isJson) {
    const known = { event: 'serving', url, mcp: `${url}/mcp`, listens, pid: process.pid, tools, undescribed, problems };
    process.stdout.write(`${JSON.stringify({ ...known, ...more })}\n`);
    return;
  }
  output.note(`Remit serves ${url}/mcp (${who}); ${tools} tools described, ${undescribed} not.`);
  if (listens !== undefined) output.note(`  listens at ${listens}; agents reach it at ${url} (publicUrl)`);
  for (const problem of problems) output.note(`  not reached: ${problem}`);
  output.note('  agents connect with `remit connect --agent NAME`; stop with Ctrl-C.');
}

export function tellRevokeOnly(output: Output, url: string, reason: string, wayOn: string): void {
  if (output.isJson) {
    process.stdout.write(`${JSON.stringify({ event: 'revoke_only', url, pid: process.pid, reason })}\n`);
  }
  output.note(`Remit serves nothing (revoke-only): ${reason}`);
  output.note(`  credentials are being revoked. ${wayOn}`);
}

export function waitForSignal(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => resolve(signal));
  });
}
