import {
  type DecisionFlow,
  type FlowLabels,
  type FlowProfile,
  isOutward,
  NO_LABELS,
  PUBLIC,
  type RememberedFlow,
  type ValueProvenance,
} from '../domain/flow.ts';
import type { ConnectorId, TaskId, ToolRef } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';
import type { ThingNames } from '../domain/stored-mark.ts';
import type { Task, TemplateFlow } from '../domain/task.ts';
import type { GovernedTool, ToolProfile } from '../domain/tool.ts';
import type { Canaries } from './canaries.ts';
import { addPrompt, addReading, Families, type Family, hasWrittenTo, joinInto } from './family.ts';
import { findOrigin } from './find-origin.ts';
import type { FlowCall, FlowRule, Hold } from './flow-call.ts';
import type { Handles } from './handles.ts';
import type { MarkedValues } from './marked-values.ts';
import { holdsValue, normaliseText, normaliseValue } from './match-value.ts';
import { readResult } from './read-result.ts';
import { markedValues } from './rules/marked-values.ts';
import { notAsked } from './rules/not-asked.ts';
import { provenance } from './rules/provenance.ts';
import { reach } from './rules/reach.ts';
import { thirdLeg } from './rules/third-leg.ts';
import { urls } from './rules/urls.ts';
import { zones } from './rules/zones.ts';
import { scalarsOf } from './scalars.ts';
import type { StoredLabels } from './stored-labels.ts';
import { thingNames } from './thing-names.ts';

/** A call on an item that has a profile of flow. */
export interface FlowQuestion {
  readonly task: Task;
  readonly template: TemplateFlow | undefined;
  readonly item: GovernedTool;
  readonly args: JsonObject;
}

/** What is known of a call before it is decided on: for policies, for the record and for who approves. */
export interface FlowFacts {
  readonly labels: FlowLabels;
  readonly provenance: readonly ValueProvenance[];
  readonly outward: number;
}

export interface Admitted {
  /** What the call's intent has to say. */
  readonly said: DecisionFlow;
  /** Durable before the call is forwarded, which is not when this is rejected. Undefined: there is nothing to wait for. */
  readonly marked: Promise<void> | undefined;
}

/** Keeps what each task and its children have read, and holds calls that it does not go with. Asked for items with a profile of flow only. */
export interface Flow {
  /** Whether the call has to wait for a person. Changes nothing. A fault holds: it never throws. */
  judge(question: FlowQuestion): { readonly hold: Hold | undefined; readonly facts: FlowFacts };
  /** What judging goes by: for policies, which are asked first. A fault gives the worst, and never throws. */
  factsOf(question: FlowQuestion): FlowFacts;
  /** Joins what the call will bring, at worst, before it is forwarded, and marks what it will store. */
  admit(question: FlowQuestion, provenance: readonly ValueProvenance[]): Admitted;
  /** Takes in what a call brought. @param span of the call */
  learn(task: Task, item: GovernedTool, args: JsonObject, span: string, result: JsonObject): void;
  /** Takes in what came back and vouches for nothing: an error, or what passes unseen. */
  note(task: Task, item: GovernedTool, came: JsonObject | undefined): void;
  /** What a task and its children have read. Makes nothing. */
  labelsOf(task: Pick<Task, 'id' | 'parent'>): FlowLabels;
  /** The words that a task's calls follow from, as the host of its agent gave them. */
  notePrompt(task: Task, text: string): void;
  restore(task: Pick<Task, 'id' | 'parent'>, remembered: RememberedFlow): void;
  forget(task: TaskId): void;
  /** Reads what other gateways have marked. @throws `ERR_STORE_*` */
  refresh(): Promise<void>;
  readonly canaries: Canaries;
  readonly handles: Handles;
  /** Families that are kept. */
  readonly size: number;
}

/** In this order; the first that has something against a call says so. */
const RULES: readonly FlowRule[] = [markedValues, notAsked, provenance, urls, thirdLeg, zones, reach];

/** Arguments shorter than this point at nothing: a page number stands in many prompts. */
const LEAST_POINTER = 4;

const FAULT: Hold = { rule: 'remit:flow', reason: 'Where the values of this call come from could not be judged.' };
/** The worst that can be said: what could not be judged vouches for nothing. */
const NOTHING_KNOWN: FlowFacts = { labels: { ...NO_LABELS, trust: 'untrusted' }, provenance: [], outward: 0 };

export interface FlowParts {
  readonly zoneOf: (connector: ConnectorId) => string;
  /** The task above a task that has not ended. */
  readonly parentOf: (task: TaskId) => TaskId | undefined;
  readonly stored: StoredLabels;
  readonly marked: MarkedValues;
  readonly canaries: Canaries;
  readonly handles: Handles;
}

export function createFlow(parts: FlowParts): Flow {
  const { stored, marked } = parts;
  const families = new Families(parts.parentOf);
  const ownLabels = new WeakMap<ToolProfile, FlowLabels>();

  /** The worst that a call on an item brings, made once a profile. */
  function labelsOf({ connector }: GovernedTool, profile: ToolProfile, { trust }: FlowProfile): FlowLabels {
    let labels = ownLabels.get(profile);
    if (labels === undefined) {
      labels = { trust, dataClasses: [...profile.dataClasses].sort(), zones: [parts.zoneOf(connector)] };
      ownLabels.set(profile, labels);
    }
    return labels;
  }

  function callOf({ task, template, item, args }: FlowQuestion): FlowCall {
    const { profile } = item;
    const flow = profile?.flow;
    if (profile === undefined || flow === undefined) throw new TypeError('no profile of flow');
    const { family } = families.of(task);
    const found = provenanceOf(family, flow, template, args);
    const sink = isOutward(flow.sink) && flow.critical.length > 0 && found.length === 0 ? 'internal' : flow.sink;
    return {
      item,
      profile,
      flow,
      args,
      zone: parts.zoneOf(item.connector),
      template,
      family,
      provenance: found,
      sink,
      marked,
    };
  }

  return {
    judge(question) {
      try {
        const call = callOf(question);
        const { family } = call;
        const facts = { labels: family.labels, provenance: call.provenance, outward: family.outward };
        for (const rule of RULES) {
          const hold = rule(call);
          if (hold !== undefined) return { hold, facts };
        }
        return { hold: undefined, facts };
      } catch {
        return { hold: FAULT, facts: NOTHING_KNOWN };
      }
    },
    factsOf(question) {
      try {
        const { family, provenance: found } = callOf(question);
        return { labels: family.labels, provenance: found, outward: family.outward };
      } catch {
        return NOTHING_KNOWN;
      }
    },
    admit({ task, item, args }, found) {
      const { family, top } = families.of(task);
      const { profile } = item;
      const flow = profile?.flow;
      let marked: Promise<void> | undefined;
      const before = family.labels;
      if (profile !== undefined && flow !== undefined) {
        const wasTainted = before.trust === 'untrusted';
        const names = thingNames(item, flow, args, stored.fingerprint);
        if (flow.sink === 'internal' && saysMore(before, parts.zoneOf(item.connector))) {
          marked = stored.mark(item.connector, names, before);
        }
        joinInto(family, labelsOf(item, profile, flow));
        if (bringsStored(profile, names)) joinInto(family, stored.labelsOf(item.connector, names));
        const reaches =
          isOutward(flow.sink) && (flow.critical.length === 0 || flow.critical.some(({ name }) => isGiven(args[name])));
        if (reaches) family.outward += 1;
        family.connectors.add(item.connector);
        // What is stored is stored as it is given: text that anybody wrote may be in it from now on.
        if (wasTainted && flow.sink === 'internal' && family.written !== 'all') family.written.add(item.connector);
      }
      const { labels, outward } = family;
      const said = {
        labels,
        ...(labels !== before && { before }),
        outward,
        provenance: found,
        ...(top !== task.id && { family: top }),
      };
      return { said, marked };
    },
    learn(task, item, args, span, result) {
      const { profile } = item;
      const flow = profile?.flow;
      if (profile === undefined || flow === undefined) return;
      const { family } = families.of(task);
      // Once more: another task may have stored something there since this call was admitted.
      const names = thingNames(item, flow, args, stored.fingerprint);
      const there = bringsStored(profile, names) ? stored.labelsOf(item.connector, names) : NO_LABELS;
      joinInto(family, there);
      if (marked.isOn) marked.take(family.marks, item, parts.zoneOf(item.connector), result);
      const asked = askedText(args);
      // What may all be an echo vouches for nothing.
      if (asked === undefined) return;
      const { text, fields } = readResult(result, flow);
      const byValue = new Map<string, FlowProfile['fields'][number][]>();
      const isClean = !hasWrittenTo(family, item.connector) && there.trust !== 'untrusted';
      const isTrusted = flow.trust !== 'untrusted' && isClean;
      for (const { field: issued, value } of fields) {
        const field = isClean ? issued : { ...issued, isTrusted: false };
        const known = byValue.get(value);
        if (known === undefined) byValue.set(value, [field]);
        else if (!known.includes(field)) known.push(field);
      }
      addReading(family, {
        tool: item.ref as ToolRef,
        span,
        isTrusted,
        isPointed: isPointedAt(family, args),
        text,
        asked,
        isRead: item.profile?.actionClass === 'read',
        fields: byValue,
      });
    },
    note(task, item, came) {
      if (marked.isOn) marked.take(families.of(task).family.marks, item, parts.zoneOf(item.connector), came);
    },
    labelsOf: (task) => families.find(task)?.labels ?? NO_LABELS,
    notePrompt: (task, text) => addPrompt(families.of(task).family, text),
    restore(task, { labels, outward }) {
      const { family } = families.of(task);
      joinInto(family, labels);
      if (labels.trust === 'untrusted') family.written = 'all';
      if (marked.hasMarked(labels.dataClasses)) family.marks.isPartial = true;
      family.outward = Math.max(family.outward, outward);
    },
    forget(task) {
      families.forget(task);
      parts.handles.forget(task);
    },
    refresh: stored.refresh,
    canaries: parts.canaries,
    handles: parts.handles,
    get size() {
      return families.size;
    },
  };
}

/** Whether what a task has read is worth a mark on what it stores: more than what the connector's own zone says. */
const saysMore = ({ trust, dataClasses, zones }: FlowLabels, zone: string): boolean =>
  trust !== 'trusted' || dataClasses.some((one) => one !== PUBLIC) || zones.some((one) => one !== zone);

/** A read brings whatever may be meant; what changes something answers about what it names. */
const bringsStored = ({ actionClass }: ToolProfile, names: ThingNames | undefined): boolean =>
  actionClass === 'read' || names !== undefined;

/** Everything that a call came with, in one spelling; undefined for more than can be judged. */
function askedText(args: JsonObject): string | undefined {
  try {
    return scalarsOf(args, '')
      .map(({ text }) => normaliseText(text))
      .join('\n');
  } catch {
    return undefined;
  }
}

const isGiven = (value: unknown): boolean => value !== undefined && value !== null && scalarsOf(value, '').length > 0;

function provenanceOf(
  family: Family,
  flow: FlowProfile,
  template: TemplateFlow | undefined,
  args: JsonObject,
): ValueProvenance[] {
  const destinations = template === undefined ? flow.destinations : [...flow.destinations, ...template.destinations];
  return flow.critical.flatMap(({ name, kind, from }) =>
    scalarsOf(Object.hasOwn(args, name) ? args[name] : undefined, name).map(({ path, text }) => ({
      name,
      argument: path,
      needed: from,
      ...findOrigin(family, { destinations }, text, kind),
    })),
  );
}

/** Whether the user's own words say which result this is. */
function isPointedAt(family: Family, args: JsonObject): boolean {
  try {
    return Object.entries(args).some(([name, value]) =>
      scalarsOf(value, name).some(({ text }) => {
        const pointer = normaliseValue(text);
        return pointer.length >= LEAST_POINTER && family.prompts.some((prompt) => holdsValue(prompt.text, pointer));
      }),
    );
  } catch {
    return false;
  }
}
