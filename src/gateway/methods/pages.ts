import type { ClientRequest } from '../client-request.ts';
import type { Gateway } from '../gateway.ts';
import type { Caller } from '../stages/authenticate.ts';

/** Items of one answer; more are for estates of a size that few clients can show anyway. */
const PAGE = 1_000;
const TTL_MS = 600_000;

/** Where a list goes on; undefined for a cursor that we did not give for this list. */
export function pageStart(
  { sealer }: Gateway,
  caller: Caller,
  { method, scope, params }: ClientRequest,
): number | undefined {
  const { cursor } = params;
  if (cursor === undefined) return 0;
  const value = typeof cursor === 'string' ? sealer.open('cursor', caller, cursor)?.value : undefined;
  return value?.m === method && value.s === (scope ?? null) && typeof value.n === 'number' ? value.n : undefined;
}

/** One page of JSON texts, and the member that names the next one, with a comma before it. */
export function pageOf(
  { sealer }: Gateway,
  caller: Caller,
  { method, scope }: ClientRequest,
  start: number,
  texts: readonly string[],
): { readonly texts: readonly string[]; readonly next: string } {
  if (texts.length <= PAGE) return { texts: start === 0 ? texts : texts.slice(start), next: '' };
  const end = start + PAGE;
  if (end >= texts.length) return { texts: texts.slice(start), next: '' };
  const cursor = sealer.seal('cursor', caller, { m: method, s: scope ?? null, n: end }, TTL_MS);
  return { texts: texts.slice(start, end), next: `,"nextCursor":"${cursor}"` };
}
