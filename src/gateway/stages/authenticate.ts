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

type Authenticated = Caller | Refused;

/**
 * The token must verify, its agent must still be registered, and its task must be active and the agent's own. Synchronous for a token that is
 * known already.
 */
export function authenticate(
  gateway: Gateway,
  authorization: string | undefined,
): Authenticated | Promise<Authenticated> {
  const verified = gateway.authenticator.authenticate(authorization);
  return verified instanceof Promise
    ? verified.then((principal) => callerOf(gateway, principal))
    : callerOf(gateway, verified);
}

function callerOf(gateway: Gateway, principal: Principal | Refused): Authenticated | Promise<Authenticated> {
  if (isRefused(principal)) return principal;
  if (!gateway.isRegistered(principal.agent)) return unauthenticated(`agent ${principal.agent} is not registered`);
  const task = gateway.tasks.get(principal.task);
  return task === undefined ? confirmed(gateway, principal) : checkTask(gateway, principal, task);
}

/** The task is not known, perhaps only because what is known is too old to rely on. */
async function confirmed(gateway: Gateway, principal: Principal): Promise<Authenticated> {
  const task = (await gateway.tasks.confirm()) ? gateway.tasks.get(principal.task) : undefined;
  return checkTask(gateway, principal, task);
}

function checkTask(gateway: Gateway, principal: Principal, task: Task | undefined): Authenticated {
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
