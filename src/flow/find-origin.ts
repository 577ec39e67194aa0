import type { FlowProfile, Origin } from '../domain/flow.ts';
import type { ToolRef } from '../domain/ids.ts';
import type { Family, Reading } from './family.ts';
import { holdsPiece, holdsValue, isListed, normaliseValue } from './match-value.ts';

export interface FoundOrigin {
  readonly origin: Origin;
  /** The result that it stands in. */
  readonly tool?: ToolRef;
  readonly span?: string;
}

/**
 * The best that can be said of where a value comes from.
 * @param kind of the argument: a field of another kind vouches for nothing (an event's id is not a file's)
 */
export function findOrigin(
  family: Family,
  { destinations }: Pick<FlowProfile, 'destinations'>,
  given: string,
  kind: string | undefined,
): FoundOrigin {
  const value = normaliseValue(given);
  if (isListed(destinations, value)) return { origin: 'user' };
  if (family.prompts.some(({ text }) => holdsValue(text, value))) return { origin: 'user' };
  const ranked = [
    (one: Reading) => hasField(one, value, kind, true),
    (one: Reading) => one.isTrusted && holdsValue(one.text, value) && !isEcho(one, value),
    (one: Reading) => one.isPointed && hasField(one, value, kind, false),
    (one: Reading) => one.isPointed && holdsValue(one.text, value) && !isEcho(one, value),
    (one: Reading) => hasField(one, value, kind, false),
    (one: Reading) => holdsValue(one.text, value),
  ] as const;
  const origins: readonly Origin[] = ['trusted', 'trusted', 'pointed', 'named', 'field', 'text'];
  for (const [rank, holds] of ranked.entries()) {
    // The newest first: the one that a person who is asked remembers.
    const reading = family.readings.findLast(holds);
    if (reading !== undefined) return { origin: origins[rank] as Origin, tool: reading.tool, span: reading.span };
  }
  return { origin: 'nowhere' };
}

/** A result vouches for nothing that its call came with: a trusted one that says *not found: eve@evil.example* must not make that address good. */
const isEcho = ({ asked }: Reading, value: string): boolean => holdsPiece(asked, value);

function hasField(reading: Reading, value: string, kind: string | undefined, mustBeTrusted: boolean): boolean {
  const fields = reading.fields.get(value);
  if (fields === undefined || (!reading.isRead && isEcho(reading, value))) return false;
  return fields.some((field) => (kind === undefined || field.kind === kind) && (!mustBeTrusted || field.isTrusted));
}
