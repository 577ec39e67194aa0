import type { HeldTask } from '../../harness/task-token.ts';
import { type Answered, call, endTask, takeTask } from './agent.ts';
import type { Cluster, ClusterNode } from './cluster.ts';
import { newStories, type Stories } from './load.ts';

/** A call that had to be done, and was not. */
export interface LostCall {
  readonly id: string;
  readonly node: string;
  readonly answered: Answered;
  readonly text: string;
}

export interface UpgradeLoad {
  readonly stories: Stories;
  readonly lost: LostCall[];
  /** Longest that a call took, milliseconds; a new reckoning each time that it is asked for. */
  longestMs(): number;
  readonly over: Promise<void>;
}

/** Agents whose task lasts as long as the load, and some that take one after the other. */
const LASTING = 6;
const PASSING = 2;
const CALLS_EACH = 8;
const BETWEEN_MS = 30;

/**
 * Agents that work on, each call at a node that is in service, whichever has its task.
 * @param isCalm whether each call has to be done now, and each task given
 */
export function runUpgradeLoad(
  cluster: Cluster,
  inService: ReadonlySet<ClusterNode>,
  isCalm: () => boolean,
  isOver: () => boolean,
): UpgradeLoad {
  const stories = newStories();
  const lost: LostCall[] = [];
  let next = 0;
  let turn = 0;
  let longest = 0;
  const anyNode = (): ClusterNode => [...inService][turn++ % inService.size] as ClusterNode;

  async function take(): Promise<HeldTask | undefined> {
    const node = anyNode();
    const wasCalm = isCalm();
    try {
      const task = await takeTask(cluster, node, 'work');
      stories.tasks.set(task.task, { id: task.task, template: 'work', barredFrom: undefined, taintedFrom: undefined });
      return task;
    } catch (error) {
      stories.tasksRefused += 1;
      if (wasCalm && isCalm()) lost.push({ id: 'a task', node: node.name, answered: 'refused', text: String(error) });
      return undefined;
    }
  }

  async function work(task: HeldTask, calls: number): Promise<void> {
    const story = stories.tasks.get(task.task);
    if (story === undefined) return;
    for (let made = 0; made < calls && !isOver(); made++) {
      const id = `u${next++}`;
      const node = anyNode();
      const wasCalm = isCalm();
      const from = performance.now();
      const { answered, text } = await call(node, task, 'bump', { id, task: task.task });
      stories.calls.set(id, { task: story, tool: 'bump', sentAt: Date.now(), answered });
      if (wasCalm && isCalm()) {
        longest = Math.max(longest, performance.now() - from);
        if (answered !== 'done') lost.push({ id, node: node.name, answered, text: text.slice(0, 300) });
      }
      await pause(BETWEEN_MS);
    }
  }

  async function lasting(): Promise<void> {
    const task = await take();
    if (task !== undefined) await work(task, Number.POSITIVE_INFINITY);
  }

  async function passing(): Promise<void> {
    while (!isOver()) {
      const task = await take();
      if (task === undefined) await pause(BETWEEN_MS);
      else {
        await work(task, CALLS_EACH);
        await endTask(anyNode(), task);
      }
    }
  }

  const agents = [...Array.from({ length: LASTING }, lasting), ...Array.from({ length: PASSING }, passing)];
  return {
    stories,
    lost,
    longestMs() {
      const ms = Math.round(longest);
      longest = 0;
      return ms;
    },
    over: Promise.all(agents).then(() => {}),
  };
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
