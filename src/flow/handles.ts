import type { FlowProfile } from '../domain/flow.ts';
import type { RandomBytes, TaskId, ToolRef } from '../domain/ids.ts';
import { type JsonObject, mapTexts } from '../domain/json.ts';
import type { GovernedTool } from '../domain/tool.ts';
import { replaceHidden } from './hide-members.ts';

/** How each handle begins. It says nothing of what it stands for, and opens nothing outside its task. */
export const HANDLE = 'remit:handle:';
const WHOLE = /^remit:handle:[A-Za-z0-9_-]{22}$/;
const WITHIN = /remit:handle:[A-Za-z0-9_-]*/g;

/** Arguments with what their handles stand for. */
export interface Resolved {
  readonly args: JsonObject;
  /** Which argument holds a handle, and whose result that was. */
  readonly from: readonly { readonly argument: string; readonly tool: ToolRef }[];
  /** The texts themselves, with their handles: should the call bring one back. */
  readonly texts: readonly (readonly [text: string, handle: string])[];
}

/** What stands, for one task, in place of texts that its agent does not get to see. In memory: they go with the task, and with the gateway. */
export interface Handles {
  /** Whether any item has something to hide. */
  readonly isOn: boolean;
  /** A result without what the profile hides. */
  hide(task: TaskId, item: GovernedTool, flow: FlowProfile, result: JsonObject): JsonObject;
  /** Undefined: one of them is no handle of this task, or they stand for more than may be sent at once. */
  resolve(task: TaskId, args: JsonObject): Resolved | undefined;
  forget(task: TaskId): void;
  readonly size: number;
}

interface Kept {
  readonly value: unknown;
  readonly text: string;
  readonly tool: ToolRef;
}

/** Of one task, and UTF-16 units of all of them (guarantee I3): the oldest go first, and are refused from then on. */
export const MAX_HANDLES = 256;
const MAX_TASK_SIZE = 4_194_304;
const MAX_SIZE = 33_554_432;

class TaskHandles {
  readonly kept = new Map<string, Kept>();
  size = 0;
}

export function createHandles(parts: { readonly isOn: boolean; readonly random: RandomBytes }): Handles {
  const tasks = new Map<TaskId, TaskHandles>();
  let total = 0;

  function keep(task: TaskId, value: unknown, tool: ToolRef): string {
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    const own = tasks.get(task) ?? new TaskHandles();
    tasks.set(task, own);
    for (const [handle, known] of own.kept) if (known.text === text && known.tool === tool) return handle;
    const handle = `${HANDLE}${Buffer.from(parts.random(16)).toString('base64url')}`;
    own.kept.set(handle, { value, text, tool });
    own.size += text.length;
    total += text.length;
    while (own.kept.size > MAX_HANDLES || own.size > MAX_TASK_SIZE) dropOldest(own);
    while (total > MAX_SIZE && dropOldest([...tasks.values()].find(({ kept }) => kept.size > 0)));
    return handle;
  }

  function dropOldest(own: TaskHandles | undefined): boolean {
    const oldest = own?.kept.entries().next();
    if (own === undefined || oldest === undefined || oldest.done === true) return false;
    const [handle, { text }] = oldest.value;
    own.kept.delete(handle);
    own.size -= text.length;
    total -= text.length;
    return true;
  }

  return {
    isOn: parts.isOn,
    hide: (task, { ref }, flow, result) => replaceHidden(result, flow, (value) => keep(task, value, ref as ToolRef)),
    resolve(task, args) {
      const own = tasks.get(task);
      if (own === undefined) return undefined;
      const from: Resolved['from'][number][] = [];
      const texts = new Map<string, string>();
      let left = MAX_TASK_SIZE;
      const find = (handle: string, argument: string): Kept => {
        const kept = own.kept.get(handle);
        if (kept === undefined) throw new UnknownHandle();
        left -= kept.text.length;
        if (left < 0) throw new UnknownHandle();
        if (!from.some((one) => one.argument === argument && one.tool === kept.tool)) {
          from.push({ argument, tool: kept.tool });
        }
        texts.set(kept.text, handle);
        return kept;
      };
      try {
        const resolved = Object.entries(args).map(
          ([name, value]) => [plainName(name), within(value, (handle) => find(handle, name))] as const,
        );
        return { args: Object.fromEntries(resolved) as JsonObject, from, texts: [...texts] };
      } catch (error) {
        if (error instanceof UnknownHandle) return undefined;
        throw error;
      }
    },
    forget(task) {
      total -= tasks.get(task)?.size ?? 0;
      tasks.delete(task);
    },
    get size() {
      return [...tasks.values()].reduce((sum, { kept }) => sum + kept.size, 0);
    },
  };
}

class UnknownHandle extends Error {}

/** A text that is a handle becomes what that stands for, whatever it is; one that holds some, a text with theirs. */
function within(value: unknown, find: (handle: string) => Kept): unknown {
  const put = (text: string): unknown => {
    if (!text.includes(HANDLE)) return text;
    return WHOLE.test(text) ? find(text).value : text.replace(WITHIN, (handle) => find(handle).text);
  };
  return mapTexts(value, put, plainName);
}

/** A handle stands for a value, and never for a name. */
function plainName(name: string): string {
  if (name.includes(HANDLE)) throw new UnknownHandle();
  return name;
}
