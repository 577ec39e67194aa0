import type { Random } from '../../harness/random.ts';
import type { HeldTask } from '../../harness/task-token.ts';
import { callAdmin } from '../../src/cli/admin-client.ts';
import { type Answered, call, endTask, takeTask, WITHIN_MS } from './agent.ts';
import { type Cluster, type ClusterNode, FAST_CALLS } from './cluster.ts';

/** What is known of a task from outside, by what its agent and its administrator were told. */
export interface TaskStory {
  readonly id: string;
  readonly template: 'work' | 'short' | 'fast';
  /** From when on a call that is sent must not be done; undefined while none must. Milliseconds since the epoch. */
  barredFrom: number | undefined;
  /** From when on it was known to have read a stranger's mail. */
  taintedFrom: number | undefined;
}

/** A call, when it was sent, and what came of it. */
export interface CallStory {
  readonly task: TaskStory;
  readonly tool: string;
  readonly sentAt: number;
  answered: Answered | undefined;
}

export interface Stories {
  readonly tasks: Map<string, TaskStory>;
  readonly calls: Map<string, CallStory>;
  /** Tasks that nobody has stopped or ended, and when they were taken: each has to be served. */
  readonly going: Map<HeldTask, number>;
  tasksRefused: number;
  orders: number;
  ordersFailed: number;
  /** From the order's acknowledgement on, until the first call at another node that was refused for it, milliseconds. */
  readonly boundAfterMs: number[];
  /** How long calls took, milliseconds, answered or not. */
  readonly tookMs: number[];
  /** Calls that nobody answered although nothing lasts so long. */
  readonly hung: string[];
}

export const newStories = (): Stories => ({
  tasks: new Map(),
  calls: new Map(),
  going: new Map(),
  tasksRefused: 0,
  orders: 0,
  ordersFailed: 0,
  boundAfterMs: [],
  tookMs: [],
  hung: [],
});

const WORKERS = 10;
/** Of them, that spend budgets fast at one moment: the others try everything else. */
const MOST_SPENDING = 2;
/** Calls at a time of an agent that spends its budget fast: so fast that the store counts some of them ahead. */
const AT_ONCE = 4;
/** Refusals for want of budget before each of those believes it. */
const TRIED_BEYOND = 2;
const NOTHING_LEFT = 'no calls left';
/** As `remit kill` promises it. */
const BOUND_MS = 1_000;

/**
 * Agents that go on as if nothing were the matter, each call at any node: some spend small budgets, some larger ones several calls at a time,
 * some read strangers' mail and then try to send something, some are stopped by an administrator and try on.
 */
export async function runLoad(
  cluster: Cluster,
  random: Random,
  stories: Stories,
  isOver: () => boolean,
): Promise<void> {
  let next = 0;
  let spending = 0;
  const anyNode = (): ClusterNode => random.pick(cluster.nodes);

  async function try_(task: HeldTask, story: TaskStory, tool: string, node = anyNode()) {
    const id = `c${next++}`;
    const told: CallStory = { task: story, tool, sentAt: Date.now(), answered: undefined };
    if (tool !== 'mail') stories.calls.set(id, told);
    const { answered, text } = await call(node, task, tool, tool === 'mail' ? {} : { id, task: task.task });
    told.answered = answered;
    const ms = Date.now() - told.sentAt;
    stories.tookMs.push(ms);
    if (ms >= WITHIN_MS)
      stories.hung.push(
        `${tool} ${id} of ${task.task}, sent to ${node.name} at ${new Date(told.sentAt).toISOString()}`,
      );
    // An agent waits a little before it asks again; what had no answer it asks no more.
    if (answered === 'unknown') await pause(200);
    return { answered, text };
  }

  async function stopAndTry(task: HeldTask, story: TaskStory): Promise<void> {
    const node = anyNode();
    const action = random.pick(['suspend', 'revoke'] as const);
    const order = { action, kind: 'task', id: task.task, reason: 'the crash harness wants it' };
    stories.orders += 1;
    stories.going.delete(task);
    try {
      await callAdmin(node.socket, 'revoke', order);
    } catch {
      // Whether it holds is not known: nothing follows from it.
      stories.ordersFailed += 1;
      return;
    }
    story.barredFrom = Date.now() + BOUND_MS;
    for (let tries = random.between(3, 12); tries > 0 && !isOver(); tries--) {
      await try_(task, story, 'bump');
      await pause(random.between(0, 400));
    }
  }

  /** Spends the whole budget without a pause, some calls at a time, at one node for as long as that answers, and tries for more. */
  async function spendFast(task: HeldTask, story: TaskStory): Promise<void> {
    let node = anyNode();
    let tries = 2 * FAST_CALLS;
    async function spend(): Promise<void> {
      for (let denied = 0; denied < TRIED_BEYOND && tries > 0 && !isOver(); tries--) {
        const { answered, text } = await try_(task, story, 'bump', node);
        if (answered === 'done') continue;
        node = anyNode();
        if (answered !== 'refused') continue;
        if (text.includes(NOTHING_LEFT)) denied += 1;
        // Its node is cut off, say: the next that has the task goes on with it.
        await pause(500);
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, spend));
    await endTask(anyNode(), task);
  }

  async function work(): Promise<void> {
    while (!isOver()) {
      const template = random.chance(0.3) ? 'short' : random.chance(0.4) && spending < MOST_SPENDING ? 'fast' : 'work';
      const task = await takeTask(cluster, anyNode(), template).catch(() => undefined);
      if (task === undefined) {
        stories.tasksRefused += 1;
        await pause(50);
        continue;
      }
      const story: TaskStory = { id: task.task, template, barredFrom: undefined, taintedFrom: undefined };
      stories.tasks.set(task.task, story);
      if (template === 'fast') {
        spending += 1;
        await spendFast(task, story);
        spending -= 1;
        continue;
      }
      if (template === 'work') stories.going.set(task, Date.now());
      for (let calls = random.between(2, 10); calls > 0 && !isOver(); calls--) {
        await try_(task, story, template === 'work' && random.chance(0.3) ? 'send' : 'bump');
        await pause(random.between(0, 100));
      }
      if (isOver()) continue;
      if (template === 'short') {
        await endTask(anyNode(), task);
        continue;
      }
      if (random.chance(0.6)) {
        const { answered } = await try_(task, story, 'mail');
        if (answered === 'done') story.taintedFrom = Date.now();
        for (let tries = random.between(5, 20); tries > 0 && !isOver(); tries--) {
          await try_(task, story, 'send');
          await pause(random.between(0, 600));
        }
      } else if (random.chance(0.7)) await stopAndTry(task, story);
      // An agent has a hundred tasks at a node at most; some it forgets.
      if (random.chance(0.8)) {
        stories.going.delete(task);
        await endTask(anyNode(), task);
      }
    }
  }

  await Promise.all(Array.from({ length: WORKERS }, work));
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
