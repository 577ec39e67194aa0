import type { FlowProfile } from '../domain/flow.ts';
import type { ToolRef } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';
import type { GovernedTool, ToolProfile } from '../domain/tool.ts';
import type { Clock } from '../seams/clock.ts';
import { readResult } from './read-result.ts';
import { compact, spellingsOf } from './spellings.ts';
import { textsOf } from './texts-of.ts';
import { type Printer, PrintSet } from './value-prints.ts';

/** Where a value of a marked class was read. */
export interface Marked {
  readonly zone: string;
  readonly dataClass: string;
  readonly tool: ToolRef;
}

/** Values of marked classes that a family has read. */
export interface FamilyMarks {
  readonly prints: PrintSet<Marked>;
  /** Something of a marked class was read of which not every value is known: after a restart, of what passed in pieces, beyond the bound. */
  isPartial: boolean;
}

export interface MarkedValues {
  /** Whether any class is marked: if not, nothing of this is asked. */
  readonly isOn: boolean;
  /** Takes in what a call brought. @param result undefined: it passed and was not seen */
  take(marks: FamilyMarks, item: GovernedTool, zone: string, result: JsonObject | undefined): void;
  /** What stands in a text and was read in another zone, or, where it goes outside, in any. */
  find(marks: FamilyMarks, texts: unknown, zone: string, isOutward: boolean): Marked | undefined;
  hasMarked(dataClasses: readonly string[]): boolean;
}

/** Of one family (guarantee I3); with more of them it is not known any more what a call carries. */
export const MAX_VALUES = 2_000;
/** Of all tasks, over which none is forgotten before the set before it. */
const MAX_SHARED = 20_000;
/** UTF-16 units of one result. */
const MAX_TEXT = 1_048_576;
/** Longer values count by their beginning: one pass a length is made over what goes out. */
const MAX_LENGTH = 64;
const MIN_LENGTH = 8;

export const noMarks = (): FamilyMarks => ({ prints: new PrintSet<Marked>(), isPartial: false });

export function createMarkedValues(parts: {
  readonly printer: Printer;
  readonly dataClasses: readonly string[];
  /** How long what one task has read counts for every other; undefined: not at all. */
  readonly acrossMs: number | undefined;
  readonly clock: Clock;
}): MarkedValues {
  const { printer, acrossMs, clock } = parts;
  const classes = new Set(parts.dataClasses);
  // Two sets, of which the older goes when the newer is full or its time is over: what is read stays for at least as long as configured.
  let [current, former] = [new PrintSet<Marked>(), new PrintSet<Marked>()];
  let since = clock();

  function share(): PrintSet<Marked> {
    const passed = clock() - since;
    if (current.size >= MAX_SHARED || (acrossMs !== undefined && passed >= acrossMs)) {
      former = acrossMs !== undefined && passed >= 2 * acrossMs ? new PrintSet() : current;
      current = new PrintSet();
      since = clock();
    }
    return current;
  }

  const classOf = (profile: ToolProfile | undefined): string | undefined =>
    profile?.dataClasses.find((one) => classes.has(one));

  return {
    isOn: classes.size > 0,
    take(marks, item, zone, result) {
      const dataClass = classOf(item.profile);
      const flow = item.profile?.flow;
      if (dataClass === undefined || flow === undefined) return;
      const values = result === undefined ? undefined : valuesOf(result, flow);
      if (values === undefined) {
        marks.isPartial = true;
        return;
      }
      const about: Marked = { zone, dataClass, tool: item.ref as ToolRef };
      for (const value of values) {
        const print = printer.print(value);
        if (marks.prints.size >= MAX_VALUES) marks.isPartial = true;
        else marks.prints.add(print, about);
        if (acrossMs !== undefined) share().add(print, about);
      }
    },
    find(marks, given, zone, isOutward) {
      const shared = acrossMs === undefined ? [] : [share(), former];
      const sets = [marks.prints, ...shared].filter(({ size }) => size > 0);
      if (sets.length === 0) return undefined;
      const spellings = spellingsOf(textsOf(given).join(''));
      for (const set of sets) {
        const found = set.find(spellings, printer, (about) => isOutward || about.zone !== zone);
        if (found !== undefined) return found;
      }
      return undefined;
    },
    hasMarked: (dataClasses) => dataClasses.some((one) => classes.has(one)),
  };
}

/** What is neither a word nor a date: ids, keys, accounts, long tokens. */
const TOKEN = /[\p{L}\p{N}](?:[\p{L}\p{N}_@.+/=-]*[\p{L}\p{N}=])?/gu;
/** An account or a card in groups. */
const GROUPED = /\b[A-Z]{0,2}\d{2,}(?:[ -]\d{2,})+\b/gi;
const DATE = /^\d{4}-?\d\d-?\d\d(?:$|t\d)|^\d\d?[./-]\d\d?[./-]\d{2,4}$/;

/** Values of a result by which it would be known again, in one spelling; undefined for more than is looked through. */
function valuesOf(result: JsonObject, flow: FlowProfile): ReadonlySet<string> | undefined {
  const text = textsOf(result).join('\n');
  if (text.length > MAX_TEXT) return undefined;
  const values = new Set<string>();
  for (const [token] of text.matchAll(TOKEN)) {
    addValue(values, token);
    if (/[@./+=-]/.test(token)) for (const piece of token.split(/[@./+=-]+/)) addValue(values, piece);
  }
  for (const [group] of text.matchAll(GROUPED)) addValue(values, group.replaceAll('-', ''));
  // Those of the kinds that the system issues, whatever they look like.
  for (const { value } of flow.fields.length === 0 ? [] : readResult(result, flow).fields) {
    const known = compact(value).slice(0, MAX_LENGTH);
    if (known.length >= 4) values.add(known);
  }
  return values;
}

function addValue(values: Set<string>, token: string): void {
  const value = compact(token);
  if (value.length < MIN_LENGTH || DATE.test(value)) return;
  if (/\p{N}/u.test(value) || value.length >= 24) values.add(value.slice(0, MAX_LENGTH));
}
