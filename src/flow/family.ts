import { type FlowLabels, type IssuedField, joinLabels, NO_LABELS, type Origin } from '../domain/flow.ts';
import type { ConnectorId, TaskId, ToolRef } from '../domain/ids.ts';
import { MOST_ABOVE } from '../domain/task.ts';
import { type PromptWords, wordsOf } from './asks-for.ts';
import { type FamilyMarks, noMarks } from './marked-values.ts';
import { normaliseText } from './match-value.ts';

/** A result that was read, in one spelling, with what vouches for it. */
export interface Reading {
  readonly tool: ToolRef;
  readonly span: string;
  readonly isTrusted: boolean;
  /** The user pointed at it: an argument of the call that fetched it stands in a prompt. */
  readonly isPointed: boolean;
  readonly text: string;
  /** What the call that brought it asked with: what comes back of that is an echo. */
  readonly asked: string;
  /** A read finds what is there; the result of any other call is made of its arguments. */
  readonly isRead: boolean;
  /** Issued members, by value. */
  readonly fields: ReadonlyMap<string, readonly IssuedField[]>;
}

export interface Prompt {
  readonly text: string;
  readonly words: PromptWords;
}

/** What a task and all its children have read and asked for. */
export interface Family {
  labels: FlowLabels;
  /** Calls with an effect outside that were permitted. */
  outward: number;
  readonly connectors: Set<ConnectorId>;
  /** Where it has written since it read untrusted text: what comes back from there may be that text. `all`: after a restart, which forgets where. */
  written: Set<ConnectorId> | 'all';
  readonly marks: FamilyMarks;
  readonly prompts: Prompt[];
  readonly readings: Reading[];
  /** UTF-16 units of text that `readings` hold. */
  size: number;
}

/** Per family (guarantee I3): what is beyond is forgotten, oldest first, and then comes from nowhere. */
const MAX_SIZE = 1_048_576;
const MAX_READINGS = 200;
const MAX_PROMPTS = 32;
const MAX_PROMPT = 65_536;

export const newFamily = (): Family => ({
  labels: NO_LABELS,
  outward: 0,
  connectors: new Set(),
  written: new Set(),
  marks: noMarks(),
  prompts: [],
  readings: [],
  size: 0,
});

export function joinInto(family: Family, labels: FlowLabels): void {
  family.labels = joinLabels(family.labels, labels);
}

export function addPrompt(family: Family, text: string): void {
  if (text.length > MAX_PROMPT) return;
  family.prompts.push({ text: normaliseText(text), words: wordsOf(text) });
  if (family.prompts.length > MAX_PROMPTS) family.prompts.shift();
}

export function addReading(family: Family, reading: Reading): void {
  family.readings.push(reading);
  family.size += reading.text.length + reading.asked.length;
  while (family.size > MAX_SIZE || family.readings.length > MAX_READINGS) {
    const oldest = family.readings.shift();
    if (oldest === undefined) return;
    family.size -= oldest.text.length + oldest.asked.length;
  }
}

/** Families by the task at their top. A task that is nobody's child is at the top of its own. */
export class Families {
  readonly #parentOf: (task: TaskId) => TaskId | undefined;
  readonly #tops = new Map<TaskId, TaskId>();
  readonly #families = new Map<TaskId, Family>();

  /** @param parentOf of a task that has not ended */
  constructor(parentOf: (task: TaskId) => TaskId | undefined) {
    this.#parentOf = parentOf;
  }

  /** The family of a task; made where there is none yet. */
  of(task: { readonly id: TaskId; readonly parent: TaskId | undefined }): {
    readonly top: TaskId;
    readonly family: Family;
  } {
    const top = this.#topOf(task);
    let family = this.#families.get(top);
    if (family === undefined) {
      family = newFamily();
      this.#families.set(top, family);
    }
    return { top, family };
  }

  /** The same, where there is one. */
  find(task: { readonly id: TaskId; readonly parent: TaskId | undefined }): Family | undefined {
    return this.#families.size === 0 ? undefined : this.#families.get(this.#topOf(task));
  }

  /** Of a task that has ended. A child's end takes nothing from its family. */
  forget(task: TaskId): void {
    if (this.#tops.get(task) === task || !this.#tops.has(task)) this.#families.delete(task);
    this.#tops.delete(task);
  }

  get size(): number {
    return this.#families.size;
  }

  #topOf({ id, parent }: { readonly id: TaskId; readonly parent: TaskId | undefined }): TaskId {
    const known = this.#tops.get(id);
    if (known !== undefined) return known;
    let top = id;
    for (let above = parent, depth = 0; above !== undefined && depth < MOST_ABOVE; depth += 1) {
      top = above;
      above = this.#parentOf(above);
    }
    this.#tops.set(id, top);
    return top;
  }
}

/** Whether what comes from a connector may be untrusted text that the family itself has put there. */
export const hasWrittenTo = ({ written }: Family, connector: ConnectorId): boolean =>
  written === 'all' || written.has(connector);

/** Whether an origin is one that a person or a system vouches for as to whom. */
export const isVouchedFor = (origin: Origin): boolean =>
  origin === 'user' || origin === 'trusted' || origin === 'pointed';
