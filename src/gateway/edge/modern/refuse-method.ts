import { RPC } from '../../../domain/era.ts';
import type { Gateway } from '../../gateway.ts';
import type { Caller } from '../../stages/authenticate.ts';
import { identityOf } from '../../stages/record-intent.ts';
import { errorAnswer, type HttpAnswer } from '../render.ts';

/** What legacy clients may send and 2026-07-28 has no more; `handleMethod` knows them for the legacy era. */
export const REMOVED_METHODS: ReadonlySet<string> = new Set([
  'initialize',
  'ping',
  'logging/setLevel',
  'resources/subscribe',
  'resources/unsubscribe',
  'tasks/list',
  'tasks/result',
]);

/** Denied and recorded like any method that is not in the table (guarantee D1). */
export async function refuseMethod(
  gateway: Gateway,
  caller: Caller,
  id: string | number,
  method: string,
): Promise<HttpAnswer> {
  await gateway.recorder.record({
    type: 'decision',
    ...identityOf(caller),
    span: gateway.newSpan(),
    detail: { effect: 'method', verdict: 'deny', gate: 'profile', policies: ['remit:method'], method },
  });
  return errorAnswer(404, id, RPC.methodNotFound, `Method not found: ${method}`);
}
