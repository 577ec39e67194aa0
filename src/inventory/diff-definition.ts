import { isJsonObject, type JsonObject } from '../domain/json.ts';
import { printable } from '../domain/visible-text.ts';

/** One difference between the definition that was approved and the one that is offered now. */
export interface DefinitionChange {
  /** What it means for whoever approved the old one, worst first when sorted by `RANK`. */
  readonly meaning: 'new_input' | 'wider_input' | 'claims' | 'wording' | 'output' | 'narrower_input' | 'other';
  /** JSON Pointer (RFC 6901) into the definition. */
  readonly at: string;
  /** JSON text, cut and printable; undefined where there was, or is, nothing. */
  readonly before: string | undefined;
  readonly after: string | undefined;
}

const RANK: readonly DefinitionChange['meaning'][] = [
  'new_input',
  'wider_input',
  'claims',
  'wording',
  'output',
  'narrower_input',
  'other',
];
const MAX_CHANGES = 200;
const SHOWN = 300;

/**
 * What changed, and what it means: an argument that a tool newly asks for is where data leaves (attack A23), a looser schema accepts what
 * was never reviewed, and wording is what a model obeys (attacks A18 to A20).
 */
export function diffDefinition(approved: JsonObject, current: JsonObject): readonly DefinitionChange[] {
  const changes: DefinitionChange[] = [];
  compare(approved, current, [], changes);
  return changes.sort((a, b) => RANK.indexOf(a.meaning) - RANK.indexOf(b.meaning));
}

function compare(before: unknown, after: unknown, path: readonly string[], changes: DefinitionChange[]): void {
  if (changes.length >= MAX_CHANGES || path.length > 100) return;
  if (isJsonObject(before) && isJsonObject(after)) {
    for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
      compare(own(before, name), own(after, name), [...path, name], changes);
    }
    return;
  }
  if (textOf(before) === textOf(after)) return;
  changes.push({
    meaning: meaningOf(path, before, after),
    at: path.map((part) => `/${part.replaceAll('~', '~0').replaceAll('/', '~1')}`).join(''),
    before: shown(before),
    after: shown(after),
  });
}

const own = (object: JsonObject, name: string): unknown => (Object.hasOwn(object, name) ? object[name] : undefined);

/** Keywords of JSON Schema that only ever narrow what is accepted. */
const BOUNDS = new Set([
  'required',
  'enum',
  'const',
  'pattern',
  'maxLength',
  'minLength',
  'maximum',
  'minimum',
  'maxItems',
  'format',
]);
const WORDS = new Set(['description', 'title', 'examples', 'default', '$comment', 'instructions']);

function meaningOf(path: readonly string[], before: unknown, after: unknown): DefinitionChange['meaning'] {
  const [root] = path;
  const last = path.at(-1) ?? '';
  const isName = path.at(-2) === 'properties';
  if (root === 'annotations') return 'claims';
  if (root === 'outputSchema') return 'output';
  if (root === 'arguments') return after !== undefined && before === undefined ? 'new_input' : 'wording';
  if (root !== 'inputSchema') return WORDS.has(last) ? 'wording' : 'other';
  if (isName) return before === undefined ? 'new_input' : after === undefined ? 'narrower_input' : 'wider_input';
  if (WORDS.has(last)) return 'wording';
  if (last === 'additionalProperties') return after === false ? 'narrower_input' : 'wider_input';
  if (BOUNDS.has(last)) return isTighter(last, before, after) ? 'narrower_input' : 'wider_input';
  return last === 'type' ? 'wider_input' : 'other';
}

/** Whether a bound became stricter. What cannot be told counts as looser. */
function isTighter(keyword: string, before: unknown, after: unknown): boolean {
  if (before === undefined) return true;
  if (after === undefined) return false;
  if (Array.isArray(before) && Array.isArray(after)) {
    const [small, large] = keyword === 'required' ? [before, after] : [after, before];
    const texts = new Set(large.map(textOf));
    return small.every((item) => texts.has(textOf(item)));
  }
  if (typeof before === 'number' && typeof after === 'number') {
    return keyword.startsWith('min') ? after >= before : after <= before;
  }
  return false;
}

function textOf(value: unknown): string | undefined {
  if (Array.isArray(value)) return `[${value.map(textOf).join(',')}]`;
  if (!isJsonObject(value)) return JSON.stringify(value);
  const names = Object.keys(value).sort();
  return `{${names.map((name) => `${JSON.stringify(name)}:${textOf(value[name])}`).join(',')}}`;
}

function shown(value: unknown): string | undefined {
  const text = textOf(value);
  if (text === undefined) return undefined;
  const line = printable(text);
  return line.length > SHOWN ? `${line.slice(0, SHOWN)}…` : line;
}
