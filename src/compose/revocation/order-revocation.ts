import { messageOf, RemitError } from '../../domain/errors.ts';
import { agentId, connectorId, leaseId, taskId } from '../../domain/ids.ts';
import {
  REVOCATION_ACTIONS,
  REVOCATION_KINDS,
  type RevocationAction,
  type RevocationSubject,
  subjectText,
} from '../../domain/revocation.ts';
import { revoke } from '../../revocation/revoke.ts';
import { type Administration, administrator, recordAdministration } from '../trail/record-administration.ts';
import type { Workspace } from '../workspace.ts';
import type { Effects } from './apply-revocation.ts';
import type { Ordered } from './build-revocation.ts';

/** What a person orders, from the command line. */
export interface PersonalOrder {
  readonly action: RevocationAction;
  readonly subject: RevocationSubject;
  readonly reason: string;
}

/** What the person is told. */
export interface OrderReport {
  readonly position: number;
  readonly action: RevocationAction;
  readonly subject: string;
  /** RFC 3339: by then it binds on every gateway. */
  readonly bindsBy: string;
  /** Whether a gateway of this data folder has applied it. */
  readonly appliedHere: boolean;
  /** What it ended here; left out where not all of it came back in time, and where no gateway runs. */
  readonly effects?: Effects;
  /** What waits for the next start, where no gateway runs. */
  readonly waiting?: { readonly tasks: number; readonly leases: number };
}

/** The order of a request over the administration socket. @throws `ERR_USAGE` */
export function readOrder({ action, kind, id = '', reason = '' }: Readonly<Record<string, string>>): PersonalOrder {
  const isKnown =
    REVOCATION_ACTIONS.some((one) => one === action) &&
    REVOCATION_KINDS.some((one) => one === kind) &&
    (kind === 'all') === (id === '');
  if (!isKnown) throw new RemitError('ERR_USAGE', 'an order names an action, and what it is about');
  return {
    action: action as RevocationAction,
    subject: { kind: kind as RevocationSubject['kind'], id },
    reason: reason.slice(0, 500),
  };
}

/** The order as the trail tells it. */
export function administrationOf({ action, subject, reason }: PersonalOrder): Administration {
  return { action: `${subject.kind}_${action}`, ...(subject.kind !== 'all' && { [subject.kind]: subject.id }), reason };
}

/** @throws `ERR_NOT_FOUND` for what there is not: a typing error must not read like a stop that worked */
export async function assertSubject(
  { store, estate, config }: Workspace,
  { kind, id }: RevocationSubject,
): Promise<void> {
  const missing = (hint: string): RemitError =>
    new RemitError('ERR_NOT_FOUND', `there is no ${kind} ${id}`, { where: id, hint });
  const known = (names: readonly string[]): string => `Known: ${names.join(', ') || 'none'}.`;
  switch (kind) {
    case 'agent':
      if (!estate.agents.has(agentId(id))) throw missing(known(Object.keys(config.agents)));
      return;
    case 'connector':
      if (!estate.connectors.has(connectorId(id))) throw missing(known(Object.keys(config.connectors)));
      return;
    case 'task': {
      const task = await store.tasks.get(estate.tenant, taskId(id));
      if (task === undefined) throw missing('`remit task ls --all` lists them.');
      return;
    }
    case 'lease':
      if ((await store.leases.get(estate.tenant, leaseId(id))) === undefined)
        throw missing('`remit lease ls` lists them.');
      return;
    default:
  }
}

export function reportOf({ row, bindsAt, effects }: Ordered, appliedHere: boolean): OrderReport {
  return {
    position: row.position,
    action: row.action,
    subject: subjectText(row.subject),
    bindsBy: new Date(bindsAt).toISOString(),
    appliedHere,
    ...(effects !== undefined && { effects }),
  };
}

/**
 * Orders without the help of a gateway: on the trail, then in the store, where every other node reads it and the next start of this one does.
 * Where a gateway of this data folder runs and does not answer, it has the trail: what stops something is then made all the same, and that
 * gateway puts the row, which says who and why, on its trail when it reads it.
 * @throws `ERR_STORE_*`: nothing is acknowledged
 */
export async function orderAlone(workspace: Workspace, order: PersonalOrder): Promise<OrderReport> {
  await assertSubject(workspace, order.subject);
  try {
    await recordAdministration(workspace, administrationOf(order), () =>
      Promise.reject(new RemitError('ERR_GATEWAY_UNREACHABLE', 'no gateway is asked')),
    );
  } catch (error) {
    if (order.action === 'resume') throw error;
    workspace.system.log.warn(
      { error: messageOf(error) },
      'not on the trail yet: the gateway that has it will put it there',
    );
  }
  return await orderInStore(workspace, order);
}

/**
 * Of a gateway that has no trail to write on, as its journal is damaged: what stops something is made in the store all the same, where every
 * other node reads it and puts it on its own trail; here the next start says what it finds held back, by whom and why. @throws `ERR_NOT_FOUND`, `ERR_STORE_*`: nothing is acknowledged
 */
export async function orderOffTrail(workspace: Workspace, order: PersonalOrder): Promise<OrderReport> {
  await assertSubject(workspace, order.subject);
  return await orderInStore(workspace, order);
}

async function orderInStore(workspace: Workspace, order: PersonalOrder): Promise<OrderReport> {
  const { estate, store, system } = workspace;
  const parts = { tenant: estate.tenant, repository: store.revocations, clock: system.clock };
  const acknowledged = await revoke(parts, { ...order, by: administrator() });
  return { ...reportOf({ ...acknowledged, effects: undefined }, false), waiting: await findWaiting(workspace, order) };
}

async function findWaiting({ store, estate }: Workspace, { action, subject: { kind, id } }: PersonalOrder) {
  if (action === 'resume') return { tasks: 0, leases: 0 };
  const listed = await Promise.all([
    store.tasks.list(estate.tenant, { state: 'active' }),
    store.tasks.list(estate.tenant, { state: 'suspended' }),
  ]);
  const isOf = (one: { id: string; agent: string; task?: string; connector?: string }): boolean =>
    kind === 'all' || [one.id, one.task, kind === 'agent' ? one.agent : undefined, one.connector].includes(id);
  const leases = await store.leases.list(estate.tenant, { states: ['intended', 'active', 'revoking'] });
  return { tasks: listed.flat().filter(isOf).length, leases: leases.filter(isOf).length };
}
