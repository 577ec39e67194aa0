import type { ClientRequest, MethodAnswer } from '../client-request.ts';
import type { Gateway } from '../gateway.ts';
import type { Caller } from '../stages/authenticate.ts';
import { identityOf } from '../stages/record-intent.ts';
import { emptyAnswer, invalidParams } from './results.ts';

/** RFC 5424. */
const LEVELS: ReadonlySet<unknown> = new Set([
  'debug',
  'info',
  'notice',
  'warning',
  'error',
  'critical',
  'alert',
  'emergency',
]);

/** `logging/setLevel`: a wish of the session's, which takes it up. It reaches no connector by itself; calls carry it. */
export async function setLogLevel(gateway: Gateway, caller: Caller, request: ClientRequest): Promise<MethodAnswer> {
  const { level } = request.params;
  if (!LEVELS.has(level)) return invalidParams(`"level" must be one of ${[...LEVELS].join(', ')}`);
  await gateway.recorder.record({
    type: 'decision',
    ...identityOf(caller),
    span: gateway.newSpan(),
    detail: { effect: 'method', method: request.method, verdict: 'permit', gate: 'task', policies: [], level },
  });
  return emptyAnswer(request);
}
