import type { PolicyArguments } from '../domain/decision.ts';
import { foldName, isJsonObject } from '../domain/json.ts';
import type { ArgumentType, ToolProfile } from '../domain/tool.ts';

/** Why a call's arguments cannot be decided on. Never holds a value: arguments belong sealed in the record. */
export interface ArgumentProblem {
  /** Name of the argument; empty for the arguments as a whole. */
  readonly argument: string;
  readonly reason: string;
}

export type ArgumentsReading = { readonly values: PolicyArguments } | { readonly problem: ArgumentProblem };

/** Bounds on what one decision is asked to look at, in UTF-16 units and in entries: evaluation blocks the event loop. */
const MAX_TEXT = 262_144;
const MAX_ENTRIES = 1_024;

/**
 * Reads the arguments that policies may see out of a call's parsed body. What cannot be read exactly is a problem and
 * not a guess: a policy must never judge another value than the one that is forwarded (guarantee D4).
 * @param args `params.arguments` of `tools/call`; undefined stands for none
 */
export function readCriticalArguments(profile: ToolProfile, args: unknown): ArgumentsReading {
  const given = args === undefined ? {} : args;
  if (!isJsonObject(given)) {
    return { problem: { argument: '', reason: 'the arguments are not an object' } };
  }
  const values: Record<string, PolicyArguments[string]> = {};
  for (const { name, type, required } of profile.criticalArguments) {
    const value: unknown = Object.hasOwn(given, name) ? given[name] : undefined;
    if (value === undefined) {
      if (required) return { problem: { argument: name, reason: 'it is required' } };
      // A server that compares names without case would read this one as the argument that no policy has seen.
      const folded = foldName(name);
      if (Object.keys(given).some((key) => foldName(key) === folded)) {
        return { problem: { argument: name, reason: 'it is written with other letters' } };
      }
      continue;
    }
    const reason = findProblem(value, type);
    if (reason !== undefined) return { problem: { argument: name, reason } };
    const own = (Array.isArray(value) ? [...value] : value) as PolicyArguments[string];
    if (name !== '__proto__') values[name] = own;
    else Object.defineProperty(values, name, { value: own, enumerable: true, configurable: true, writable: true });
  }
  return { values };
}

function findProblem(value: unknown, type: ArgumentType): string | undefined {
  switch (type) {
    case 'string':
      return findTextProblem(value);
    case 'long':
      return findLongProblem(value);
    case 'boolean':
      return typeof value === 'boolean' ? undefined : 'it is not true or false';
    case 'path':
      return findTextProblem(value) ?? findPathProblem(value as string);
    case 'string[]':
      return findListProblem(value);
    default:
      return 'its type in the profile is not known';
  }
}

function findTextProblem(value: unknown): string | undefined {
  if (typeof value !== 'string') return 'it is not a string';
  if (value.length > MAX_TEXT) return `it is longer than ${MAX_TEXT} characters`;
  // A lone surrogate has no UTF-8 form: the policy would see a replacement character instead.
  return /\p{Surrogate}/u.test(value) ? 'it is not well-formed Unicode' : undefined;
}

function findLongProblem(value: unknown): string | undefined {
  if (typeof value !== 'number' || !Number.isInteger(value)) return 'it is not an integer';
  return Number.isSafeInteger(value) ? undefined : 'it is beyond ±(2^53 − 1), where integers are no longer exact';
}

function findListProblem(value: unknown): string | undefined {
  if (!Array.isArray(value)) return 'it is not a list';
  if (value.length > MAX_ENTRIES) return `it has more than ${MAX_ENTRIES} entries`;
  for (const item of value) {
    const reason = findTextProblem(item);
    if (reason !== undefined) return `an entry is wrong: ${reason}`;
  }
  return undefined;
}

/**
 * One path has one spelling: absolute, no empty, `.` or `..` segment, no `/` at its end. Otherwise a policy on
 * `/data/*` would be passed by `/data/../etc`. A backslash is refused, because some servers take it for a separator.
 */
function findPathProblem(path: string): string | undefined {
  if (path.includes('\0')) return 'it holds a NUL';
  if (path.includes('\\')) return 'it holds a backslash';
  if (!path.startsWith('/')) return 'it is not an absolute path';
  if (path === '/') return undefined;
  const segments = path.slice(1).split('/');
  if (segments.at(-1) === '') return 'it ends in /';
  const isNormalised = segments.every((segment) => segment !== '' && segment !== '.' && segment !== '..');
  return isNormalised ? undefined : 'it is not normalised: write it without "//", "." and ".."';
}
