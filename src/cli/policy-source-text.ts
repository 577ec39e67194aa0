import type { PolicySource } from '../compose/policies/read-in-force.ts';
import { messageOf, RemitError } from '../domain/errors.ts';

/** What a person must know of where policies are from; undefined where there is only one place. */
export function sourceText(source: PolicySource): string | undefined {
  const { from, folder, isNamed, by, folderHolds, isBeforeFirst } = source;
  if (isNamed) return `of ${folder}, as named`;
  if (isBeforeFirst) return `of ${folder}: no gateway has put any in force at this store yet`;
  if (from === 'folder') return undefined;
  const here = folderHolds === 'the same' ? `, as ${folder} has them` : `; ${folder} holds ${folderHolds}`;
  return `in force at the nodes of the store, by ${by}${here}`;
}

/** Why policies could not be looked at. */
export interface SourceProblem {
  readonly code?: string;
  readonly message: string;
  readonly where?: string;
  readonly hint?: string;
}

export function sourceProblem(error: unknown): SourceProblem {
  // Of many problems in policies the first.
  const message = messageOf(error).split('\n', 2).join(': ');
  if (!(error instanceof RemitError)) return { message };
  const { code, where, hint } = error;
  return { code, message, ...(where !== undefined && { where }), ...(hint !== undefined && { hint }) };
}

export function problemText({ message, where, hint }: SourceProblem): string {
  const place = where === undefined || message.includes(where) ? '' : ` (${where})`;
  return [`${message}${place}.`, hint].filter(Boolean).join(' ');
}
