import { parseDocument } from 'yaml';
import type { FlowProfile, IssuedField } from '../domain/flow.ts';
import { isJsonObject, type JsonObject } from '../domain/json.ts';
import { normaliseText, normaliseValue } from './match-value.ts';

/** What a result holds, in one spelling. */
export interface ReadResult {
  readonly text: string;
  readonly fields: readonly { readonly field: IssuedField; readonly value: string }[];
}

/** UTF-16 units of text of one result that are looked at; what is beyond comes from nowhere. */
const MAX_TEXT = 262_144;
const MAX_FIELDS = 4_000;
const MAX_DEPTH = 24;

/** Reads a result's text, and the members that the profile calls issued. Never throws: what cannot be read vouches for nothing. */
export function readResult(result: JsonObject, profile: FlowProfile): ReadResult {
  const texts: string[] = [];
  collectText(result, texts, 0, { left: MAX_TEXT });
  return {
    text: normaliseText(texts.join('\n')),
    fields: profile.fields.length === 0 ? [] : readFields(result, profile),
  };
}

function collectText(value: unknown, into: string[], depth: number, bound: { left: number }): void {
  if (bound.left <= 0 || depth > MAX_DEPTH) return;
  if (typeof value === 'string' || typeof value === 'number') {
    const text = String(value).slice(0, bound.left);
    bound.left -= text.length;
    into.push(text);
  } else if (Array.isArray(value)) for (const one of value) collectText(one, into, depth + 1, bound);
  else if (isJsonObject(value)) for (const one of Object.values(value)) collectText(one, into, depth + 1, bound);
}

function readFields(result: JsonObject, profile: FlowProfile): ReadResult['fields'] {
  const byName = new Map(profile.fields.map((field) => [field.name, field]));
  const found: { field: IssuedField; value: string }[] = [];
  for (const root of structuresOf(result, profile.format)) collectFields(root, byName, found, 0);
  return found;
}

/**
 * Structured content, else the text parts, parsed whole. A line that looks like a member is none: text that somebody wrote into one member
 * could be made to look like another, and only the format's own rules tell the two apart.
 */
function structuresOf(result: JsonObject, format: FlowProfile['format']): unknown[] {
  if (isJsonObject(result.structuredContent)) return [result.structuredContent];
  const parts = Array.isArray(result.content) ? result.content : [];
  return parts.flatMap((part) => {
    if (!isJsonObject(part) || typeof part.text !== 'string' || part.text.length > MAX_TEXT) return [];
    try {
      return [format === 'json' ? (JSON.parse(part.text) as unknown) : parseYaml(part.text)];
    } catch {
      return [];
    }
  });
}

/** No tags, no merging, no aliases, and every scalar as it is written. */
function parseYaml(text: string): unknown {
  const document = parseDocument(text, { schema: 'failsafe', merge: false, logLevel: 'silent', uniqueKeys: true });
  if (document.errors.length > 0) return undefined;
  return document.toJS({ maxAliasCount: 0 });
}

function collectFields(
  value: unknown,
  byName: ReadonlyMap<string, IssuedField>,
  into: { field: IssuedField; value: string }[],
  depth: number,
): void {
  if (depth > MAX_DEPTH || into.length >= MAX_FIELDS) return;
  if (Array.isArray(value)) for (const one of value) collectFields(one, byName, into, depth + 1);
  else if (isJsonObject(value)) {
    for (const [name, member] of Object.entries(value)) {
      const field = byName.get(name);
      if (field !== undefined) {
        for (const one of Array.isArray(member) ? member : [member]) {
          if (typeof one === 'string' || typeof one === 'number') {
            into.push({ field, value: normaliseValue(String(one)) });
          }
        }
      }
      collectFields(member, byName, into, depth + 1);
    }
  }
}
