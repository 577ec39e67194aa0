import type { HeldTask } from '../../harness/task-token.ts';
import { call } from './agent.ts';
import type { Cluster } from './cluster.ts';
import type { Stories } from './load.ts';

/** A task lasts five minutes, and its token no longer. */
const LASTS_MS = 240_000;
/** Nodes are well again: so soon each task has to be served. */
const WITHIN_MS = 30_000;
/** Of those that are there, the newest. */
const MOST = 60;

/**
 * Liveness: when nothing is the matter any more, each task that nobody stopped or ended is served, at whichever node.
 * @returns what was not, how many were tried, and how long the slowest of them took, milliseconds
 */
export async function awaitService(
  cluster: Cluster,
  { going, calls, tasks }: Stories,
): Promise<{ findings: string[]; tried: number; slowestMs: number }> {
  const now = Date.now();
  const live = [...going].filter(([, at]) => now - at < LASTS_MS).map(([task]) => task);
  const tried = live.slice(-MOST);
  const from = performance.now();
  let slowestMs = 0;
  const findings = await Promise.all(tried.map((task, index) => serve(task, index)));
  return { findings: findings.filter((one) => one !== undefined), tried: tried.length, slowestMs };

  async function serve(task: HeldTask, index: number): Promise<string | undefined> {
    const story = tasks.get(task.task);
    if (story === undefined) return undefined;
    const until = performance.now() + WITHIN_MS;
    let last = '';
    for (let turn = index; performance.now() < until; turn++) {
      const node = cluster.nodes[turn % cluster.nodes.length];
      if (node === undefined) break;
      const id = `s${index}-${turn}`;
      const { answered, text } = await call(node, task, 'bump', { id, task: task.task });
      calls.set(id, { task: story, tool: 'bump', sentAt: Date.now(), answered });
      slowestMs = Math.max(slowestMs, performance.now() - from);
      if (answered === 'done') return undefined;
      last = `${node.name}: ${text.slice(0, 300)}`;
      await pause(250);
    }
    return `${task.task}, which nobody has stopped, was not served in the end; ${last}`;
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
