import type { FlowProfile } from '../domain/flow.ts';
import type { JsonObject } from '../domain/json.ts';
import type { ThingNames } from '../domain/stored-mark.ts';
import type { GovernedTool } from '../domain/tool.ts';
import { normaliseValue } from './match-value.ts';
import { scalarsOf } from './scalars.ts';

/** Kinds of critical values that say which thing, where the owner has not said which arguments do. */
const NAMING: ReadonlySet<string> = new Set(['id', 'path', 'file', 'url', 'uri']);
/** More things than these are written at once by no tool that names them. */
const MAX_NAMES = 16;

/**
 * What a call names, by kind. Undefined: it names nothing, or not in a way that two spellings of it would be seen as one.
 * @param fingerprint keyed; what it is given is one spelling of a value
 */
export function thingNames(
  { kind, profile }: Pick<GovernedTool, 'kind' | 'profile'>,
  flow: FlowProfile,
  args: JsonObject,
  fingerprint: (text: string) => string,
): ThingNames | undefined {
  const naming = namingOf(kind, flow, profile?.actionClass === 'read');
  const names: Record<string, string[]> = {};
  let count = 0;
  try {
    for (const { name, kind: of } of naming) {
      for (const { text } of scalarsOf(Object.hasOwn(args, name) ? args[name] : undefined, name)) {
        const spelling = oneSpelling(text);
        count += 1;
        if (spelling === undefined || count > MAX_NAMES) return undefined;
        const known = Object.hasOwn(names, of) ? names[of] : undefined;
        names[of] = [...(known ?? []), fingerprint(`${of}\n${spelling}`)];
      }
    }
  } catch {
    return undefined;
  }
  return count === 0 ? undefined : names;
}

/** A resource is named by its URI. A read that the owner has said nothing of may bring anything of its connector. */
function namingOf(kind: GovernedTool['kind'], { resource, critical }: FlowProfile, isRead: boolean) {
  if (resource.length > 0) return resource;
  if (kind === 'resource') return URI;
  if (isRead) return [];
  return critical.flatMap(({ name, kind: of }) => (of !== undefined && NAMING.has(of) ? [{ name, kind: of }] : []));
}

const URI = [{ name: 'uri', kind: 'uri' }];

/**
 * The last segment of what looks like a path: it is the same however the way there is written. What can be spelled in yet other ways is none:
 * an agent would choose the spelling that is not known.
 */
function oneSpelling(text: string): string | undefined {
  const value = normaliseValue(text);
  if (/[%\\\p{Cc}]/u.test(value)) return undefined;
  const last = value
    .split(/[?#]/, 1)[0]
    ?.split('/')
    .findLast((segment) => segment !== '');
  return last === undefined || /^\.+$/.test(last) ? undefined : last;
}
