import type { Effects } from '../compose/revocation/apply-revocation.ts';
import { type OrderReport, orderAlone, type PersonalOrder } from '../compose/revocation/order-revocation.ts';
import { placesOf } from '../compose/workspace.ts';
import { loadConfig } from '../config/load-config.ts';
import { isRemitError, RemitError } from '../domain/errors.ts';
import { callAdmin } from './admin-client.ts';
import type { Output } from './output.ts';
import { withWorkspace } from './with-workspace.ts';

/** Exit code of an order that is acknowledged while credentials are not confirmed to be revoked yet. */
export const NOT_CONFIRMED = 9;

/** A gateway that says nothing for so long hangs: the order is made in the store, where others read it. Twice what one waits that must tell what it has ended. */
const WITHIN_MS = 10_000;

/** Orders a revocation: of the gateway that runs on the data folder, or, where none answers, in the store. Says what came of it. */
export async function orderAndTell(
  output: Output,
  options: { readonly config: string },
  order: PersonalOrder,
): Promise<void> {
  const report = await placeOrder(options, order);
  output.result(report, () => textOf(report));
  const { effects, appliedHere } = report;
  if (appliedHere) tellIfNotConfirmed(effects?.leases);
}

/** By the exit code: that what an order ends is not confirmed to be revoked. @param leases undefined where not all of it is known yet */
export function tellIfNotConfirmed(leases: Effects['leases'] | undefined): void {
  if (leases === undefined || leases.revoking > 0) process.exitCode = NOT_CONFIRMED;
}

/** What became of the credentials of what was ended. */
export function leasesText({ ended, revoking, lapsing }: Effects['leases']): string[] {
  const counts = [
    [ended, 'credentials revoked'],
    [revoking, 'credentials still being revoked: `remit lease ls` shows them'],
    [lapsing, 'credentials that cannot be revoked, and lapse: `remit lease ls` says when'],
  ] as const;
  return counts.filter(([count]) => count > 0).map(([count, what]) => `  ${count} ${what}`);
}

export const NOT_ALL_ENDED =
  '  not all that it ends has ended yet: it is gone on with, `remit lease ls` shows what is left';

async function placeOrder(options: { readonly config: string }, order: PersonalOrder): Promise<OrderReport> {
  const { socket } = placesOf(await loadConfig(options.config));
  const { action, subject, reason } = order;
  try {
    const asked = { action, kind: subject.kind, id: subject.id, reason };
    return await callAdmin<OrderReport>(socket, 'revoke', asked, WITHIN_MS);
  } catch (error) {
    if (!isRemitError(error, 'ERR_GATEWAY_UNREACHABLE')) throw error;
  }
  return withWorkspace(options, (workspace) => orderAlone(workspace, order));
}

/** @throws `ERR_USAGE` without one: who looks at the trail later wants to know */
export function readReason(reason: string | undefined): string {
  if (reason !== undefined && reason.trim() !== '') return reason.trim();
  throw new RemitError('ERR_USAGE', 'a reason is needed', { hint: 'Add `--reason "why"`: it goes on the trail.' });
}

const DONE = { suspend: 'suspended', resume: 'resumed', revoke: 'revoked' } as const;

function textOf({ position, action, subject, bindsBy, appliedHere, effects, waiting }: OrderReport): string {
  const lines = [`${subject}: ${DONE[action]}, binding everywhere by ${bindsBy} (position ${position})`];
  if (effects !== undefined) {
    const { tasksEnded, tasksSuspended, tasksResumed, leases } = effects;
    const counts = [
      [tasksEnded, 'tasks ended'],
      [tasksSuspended, 'tasks suspended'],
      [tasksResumed, 'tasks resumed'],
    ] as const;
    for (const [count, what] of counts) if (count > 0) lines.push(`  ${count} ${what}`);
    lines.push(...leasesText(leases));
  } else if (appliedHere) lines.push(NOT_ALL_ENDED);
  if (waiting !== undefined) {
    lines.push(
      '  no gateway serves this data folder: it binds there at its next start, and within a second on every other',
    );
    if (waiting.tasks + waiting.leases > 0)
      lines.push(`  waiting for that: ${waiting.tasks} tasks, ${waiting.leases} credentials`);
    if (waiting.leases > 0) lines.push('  `remit reap --all` revokes credentials now, when no gateway runs');
  }
  return lines.join('\n');
}
