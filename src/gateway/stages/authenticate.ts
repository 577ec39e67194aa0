import type { TaskId } from '../../domain/ids.ts';
import type { Principal } from '../../domain/principal.ts';
import { isRefused, type Refused, refuse } from '../../domain/refusal.ts';
import type { Task } from '../../domain/task.ts';
import type { Gateway } from '../gateway.ts';

/** Who calls, and on which live task: proven anew at each request. */
export interface Caller {
  readonly principal: Principal;
  readonly task: Task;
}

/** The token must verify, its agent must still be registered, and its task must be active and the agent's own. */
export async function authenticate(gateway: Gateway, authorization: string | undefined): Promise<Caller | Refused> {
  const verified = gateway.authenticator.authenticate(authorization);
  const principal = verified instanceof Promise ? await verified : verified;
  if (isRefused(principal)) return principal;
  if (!gateway.isRegistered(principal.agent)) return unauthenticated(`agent ${principal.agent} is not registered`);
  let task = gateway.tasks.get(principal.task);
  if (task === undefined && (await gateway.tasks.confirm())) task = gateway.tasks.get(principal.task);
  if (task === undefined || task.state === 'ended') return refuseTaskOf(gateway, principal.task);
  if (task.agent !== principal.agent || task.tenant !== principal.tenant || task.tenant !== gateway.tenant) {
    return unauthenticated(`task ${principal.task} belongs to another agent`);
  }
  return { principal, task };
}

/** Of a task that `tasks.get` does not give: that it has ended, or what holds it back. */
export function refuseTaskOf({ tasks }: Gateway, id: TaskId): Refused {
  const barred = tasks.barred(id);
  return barred === undefined ? unauthenticated(`task ${id} has ended`) : refuse(barred);
}

function unauthenticated(reason: string): Refused {
  return refuse({ kind: 'unauthenticated', error: 'invalid_token', reason });
}
