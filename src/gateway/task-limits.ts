import { isOutward } from '../domain/flow.ts';
import type { TaskId, ToolRef } from '../domain/ids.ts';
import type { TaskUsage } from '../domain/node.ts';
import { MOST_ABOVE, type Task, type TemplateLimits } from '../domain/task.ts';
import { type Denial, denial } from '../policy/denial.ts';
import { Pace, rememberPaces } from '../policy/pace.ts';
import type { Clock } from '../seams/clock.ts';
import type { Operation } from './operation.ts';

/** How fast a task may go, and how much may pass through it (R75): a machine is quicker than the person who would have noticed. */
export interface TaskLimits {
  /** Takes the operation's place and what it carries out; or says what denies it. */
  admit(task: Task, limits: TemplateLimits | undefined, operation: LimitedOperation): Denial | undefined;
  /** So many bytes came back. */
  read(task: Task, bytes: number): void;
  forgetTask(task: TaskId): void;
  /** What has been counted of a family, by the task at its top; undefined of any other, and where nothing has. */
  usageOf(top: TaskId): TaskUsage | undefined;
  /** Goes on from there. */
  restore(top: TaskId, usage: TaskUsage, limits: TemplateLimits | undefined): void;
}

export type LimitedOperation = Pick<Operation, 'item' | 'argumentsText' | 'effect'>;

interface Usage {
  readonly paces: Map<ToolRef, Pace>;
  read: number;
  sent: number;
  /** Whether anything of it is, now or by what is left of it. */
  isBounded: boolean;
  isReadBounded: boolean;
}

/**
 * @param find a task that has not ended: a child's calls count for the task at the top of its family
 * @param onRead what has been read of a bounded number of bytes is more now
 */
export function createTaskLimits(
  clock: Clock,
  find: (task: TaskId) => Pick<Task, 'id' | 'parent'> | undefined,
  onRead: (task: TaskId) => void = () => {},
): TaskLimits {
  const usages = new Map<TaskId, Usage>();

  function make(id: TaskId): Usage {
    const usage: Usage = { paces: new Map(), read: 0, sent: 0, isBounded: false, isReadBounded: false };
    usages.set(id, usage);
    return usage;
  }

  function usageOf(task: Pick<Task, 'id' | 'parent'>): Usage {
    let top = task;
    for (let depth = 0; top.parent !== undefined && depth < MOST_ABOVE; depth += 1) {
      const above = find(top.parent);
      if (above === undefined) break;
      top = above;
    }
    return usages.get(top.id) ?? make(top.id);
  }

  return {
    admit(task, limits, { item, argumentsText, effect }) {
      if (limits === undefined || effect !== 'call') return undefined;
      const { callsPerMinute, readBytes, sentBytes } = limits;
      const usage = usageOf(task);
      usage.isBounded = true;
      if (readBytes !== undefined) usage.isReadBounded = true;
      if (readBytes !== undefined && usage.read >= readBytes) {
        return spent('remit:volume', `This task has read ${usage.read} bytes, and may read ${readBytes}.`, END);
      }
      const { profile } = item;
      const leaves = sentBytes !== undefined && profile?.flow !== undefined && isOutward(profile.flow.sink);
      const bytes = leaves ? Buffer.byteLength(argumentsText) : 0;
      if (leaves && usage.sent + bytes > sentBytes) {
        const reason = `This task has sent ${usage.sent} bytes outside, and may send ${sentBytes}: this call has ${bytes}.`;
        return spent('remit:volume', reason, END);
      }
      if (callsPerMinute !== undefined) {
        let pace = usage.paces.get(item.ref);
        if (pace === undefined) {
          pace = new Pace(callsPerMinute);
          usage.paces.set(item.ref, pace);
        }
        if (!pace.hasRoom(clock())) {
          const reason = `The template allows a task ${callsPerMinute} calls of ${item.ref} a minute.`;
          return spent('remit:rate', reason, 'Wait a minute, then call again.');
        }
        pace.take();
      }
      usage.sent += bytes;
      return undefined;
    },
    read(task, bytes) {
      const usage = usageOf(task);
      usage.read += bytes;
      if (usage.isReadBounded) onRead(task.id);
    },
    forgetTask: (task) => void usages.delete(task),
    usageOf(top) {
      const usage = usages.get(top);
      // Results are counted of every task, since its template may be narrowed while it runs.
      if (usage?.isBounded !== true) return undefined;
      const { read, sent, paces } = usage;
      return { read, sent, paces: rememberPaces(paces, clock()) };
    },
    restore(top, { read = 0, sent = 0, paces = {} }, limits) {
      const usage = make(top);
      usage.isBounded = true;
      usage.read = read;
      usage.sent = sent;
      const { callsPerMinute, readBytes } = limits ?? {};
      usage.isReadBounded = readBytes !== undefined;
      if (callsPerMinute === undefined) return;
      for (const [ref, remembered] of Object.entries(paces)) {
        if (!ref.includes('/')) continue;
        const pace = new Pace(callsPerMinute);
        pace.restore(remembered);
        usage.paces.set(ref as ToolRef, pace);
      }
    },
  };
}

const END = 'End the task. Start a new one only if its work calls for so much.';

const spent = (rule: 'remit:rate' | 'remit:volume', reason: string, next: string): Denial =>
  denial('budget', rule, reason, next);
