import { hkdfSync } from 'node:crypto';
import { createTerminalNotifier } from '../../adapters/notifiers/terminal-notifier.ts';
import { type Approvals, createApprovals } from '../../approvals/approvals.ts';
import type { RecordEntry, Recorder } from '../../audit/recorder.ts';
import { messageOf } from '../../domain/errors.ts';
import type { ApprovalId } from '../../domain/ids.ts';
import type { Standing } from '../../domain/revocation.ts';
import { createApprovalPages } from '../../http/approvals/approval-pages.ts';
import { createApproverSessions } from '../../http/approvals/approver-sessions.ts';
import { createBrowserValues } from '../../http/approvals/browser-values.ts';
import type { TaskRegistry } from '../../tasks/task-registry.ts';
import type { OpenTelemetry } from '../open-telemetry.ts';
import { repeat } from '../repeat.ts';
import type { Workspace } from '../workspace.ts';
import { operator, showApproval } from './approval-operations.ts';
import { createApprovalContent } from './approval-parts.ts';
import { buildNotifiers, buildSignIn } from './approver-channels.ts';

const SWEEP_MS = 15_000;
const MOST_LISTED = 500;
const FORGET_MS = 3_600_000;
/** Rows that are removed in one transaction. */
const MOST_FORGOTTEN = 500;
const DAY_MS = 86_400_000;

/** Approvals over the store, the trail and the vault; what is open of a task goes with it (guarantee V2). */
export interface BuiltApprovals extends Approvals {
  /** Serves `/approvals`. */
  readonly pages: ReturnType<typeof createApprovalPages>;
  /** A link that signs in once, as the account that runs the gateway. */
  newLink(next?: ApprovalId): Promise<string>;
  close(): void;
}

export async function buildApprovals(parts: {
  workspace: Workspace;
  standing: Standing;
  tasks: TaskRegistry;
  recorder: Recorder;
  recordLater: (entry: RecordEntry) => void;
  observed: Pick<OpenTelemetry, 'approval'>;
  /** The gateway's own URL, once it is served. */
  url: () => string;
}): Promise<BuiltApprovals> {
  const { workspace, standing, tasks, recorder, recordLater, observed, url } = parts;
  const { config, estate, store, vault, system } = workspace;
  const { clock, random, schedule, log } = system;
  const { tenant } = estate;
  const stateKey = await workspace.stateKey();
  const values = createBrowserValues({ tenant, repository: store.oauth, stateKey, clock, random });
  const sessions = createApproverSessions(values);
  const newLink = async (next?: ApprovalId): Promise<string> =>
    `${url()}/approvals/sign-in/${await sessions.newCode(operator('link'))}${next === undefined ? '' : `?next=/approvals/${next}`}`;
  const approvals = createApprovals({
    tenant,
    repository: store.approvals,
    record: (entry) => recorder.record(entry),
    recordLater,
    bindingKey: Buffer.from(hkdfSync('sha256', stateKey, '', 'remit approvals', 32)),
    content: createApprovalContent(vault),
    directory: { approvers: config.approvals.approvers, groups: estate.approverGroups },
    ownerOf: (agent) => estate.agents.get(agent)?.owner,
    logPosition: () => standing.position,
    urlOf: (id) => `${url()}/approvals/${id}`,
    notifiers: [
      ...(system.terminal === undefined ? [] : [createTerminalNotifier(system.terminal, (id) => newLink(id))]),
      ...(await buildNotifiers(workspace)),
    ],
    count: observed.approval ?? (() => {}),
    perTask: config.approvals.perTask,
    clock,
    schedule,
    random,
    log,
  });

  const pages = createApprovalPages({
    sessions,
    signIn: await buildSignIn(workspace, url, values),
    url,
    listOpen: () => store.approvals.list(tenant, { states: ['pending', 'approved'] }, MOST_LISTED),
    show: (id) => showApproval(workspace, approvals, id),
    find: (id) => store.approvals.get(tenant, id),
    mayJudge: approvals.mayJudge,
    give: approvals.give,
  });

  const endTask = (task: Parameters<Approvals['endTask']>[0], reason: string): Promise<void> =>
    approvals
      .endTask(task, reason)
      // Nothing is lost: a use asks the store for the task, and the time of each is bounded.
      .catch((error: unknown) =>
        log.error({ task, error: messageOf(error) }, 'approvals of a task could not be ended'),
      );
  tasks.onBarred(({ id }) => approvals.bar(id));
  tasks.onSuspension((task, by) => (by === undefined ? undefined : endTask(task.id, 'its task was suspended')));
  tasks.onEnd((task, reason) => endTask(task.id, `its task has ended: ${reason}`));
  const stop = repeat(schedule, SWEEP_MS, () => approvals.sweep());
  const stopForgetting = repeat(schedule, FORGET_MS, async () => {
    const before = clock() - config.approvals.keepDays * DAY_MS;
    try {
      while ((await store.approvals.forget(tenant, before, MOST_FORGOTTEN)) === MOST_FORGOTTEN);
    } catch (error) {
      log.warn({ error: messageOf(error) }, 'approvals that are long over could not be removed');
    }
  });
  return {
    ...approvals,
    pages,
    newLink,
    close() {
      stop();
      stopForgetting();
      approvals.release();
    },
  };
}
