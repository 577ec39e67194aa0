import type { Decision } from '../../domain/decision.ts';
import type { Gateway } from '../gateway.ts';
import type { Operation } from '../operation.ts';
import type { Caller } from './authenticate.ts';
import { CANARY_RULE } from './canary.ts';
import { identityOf } from './record-intent.ts';

/** What a task did not declare. What its template has lost since, and what its time is over for, is no doing of the agent's. */
const OUTSIDE: ReadonlySet<string> = new Set(['remit:task-tool', 'remit:task-class']);

/**
 * A call outside what its task was declared for is a deviation, on the task's record before its refusal is told; repeated, it holds the task
 * back and takes its credentials with it (R40).
 * @throws what putting it on record, or ordering what follows, throws: the call is refused all the same
 */
export async function noteDeviation(
  { deviated, risk }: Gateway,
  { principal, task }: Caller,
  { item, effect, span }: Pick<Operation, 'item' | 'effect' | 'span'>,
  { policies }: Decision,
): Promise<void> {
  if (policies.includes(CANARY_RULE)) {
    const what = `${CANARY_RULE} ${item.ref}`;
    risk?.levels.signal({
      kind: 'canary',
      what,
      subjects: [
        { kind: 'task', id: task.id },
        { kind: 'agent', id: principal.agent },
      ],
      identity: { ...identityOf({ principal, task }), span, connector: item.connector, tool: item.ref },
    });
    // One is enough: it has read what it should not have, and was sending it on.
    await deviated(task.id, what, true);
    return;
  }
  const rule = policies.find((one) => OUTSIDE.has(one));
  if (rule !== undefined && effect === 'call') await deviated(task.id, `${rule} ${item.ref}`);
}
