import type { Approvals } from '../../approvals/approvals.ts';
import type { RecordEntry, Recorder } from '../../audit/recorder.ts';
import { RemitError } from '../../domain/errors.ts';
import type { ConnectorId, TaskId } from '../../domain/ids.ts';
import type { Refusal } from '../../domain/refusal.ts';
import type { Standing } from '../../domain/revocation.ts';
import type { Catalogue } from '../../inventory/catalogue.ts';
import type { LeaseManager } from '../../leases/lease-manager.ts';
import { createDeviations, type Deviations } from '../../revocation/deviations.ts';
import { createRevocationReader, type Denial } from '../../revocation/revocation-reader.ts';
import { type Acknowledged, type RevocationOrder, revoke } from '../../revocation/revoke.ts';
import { suspendedBy } from '../../tasks/hold-on.ts';
import type { TaskRegistry } from '../../tasks/task-registry.ts';
import type { Wire } from '../build-wire.ts';
import { identityOfTask } from '../trail/task-records.ts';
import type { Workspace } from '../workspace.ts';
import { createApplier, type Effects } from './apply-revocation.ts';

/** Longest wait of who ordered a revocation for what it ends: it binds all the same, and is gone on with. */
const WAIT_MS = 5_000;

export interface Ordered extends Acknowledged {
  /** Undefined: not all of it came back in time, and it is gone on with. */
  readonly effects: Effects | undefined;
}

export interface RevocationControl {
  /** Reads what holds, before anything is served. @throws `ERR_STORE_*` */
  start(): Promise<void>;
  /** Whether the log's position was confirmed within the bound (guarantee V1): if not, everything is denied. */
  isCurrent(): boolean;
  /** True when a reading that was too old has been replaced by a fresh one. */
  confirm(): Promise<boolean>;
  /** Reads on now: another node says that there is something. */
  poll(): Promise<void>;
  /** @throws `ERR_STORE_UNREACHABLE` when everything is denied */
  assertCurrent(): Promise<void>;
  /** @throws `ERR_CONNECTOR_UNREACHABLE` when the connector is suspended. One comparison while none is */
  assertServed(connector: ConnectorId): void;
  /** Why a task that has not ended is not served now. */
  barred(task: TaskId): Refusal | undefined;
  /** The caller has put it on the trail. @throws `ERR_STORE_*`: not acknowledged */
  order(order: RevocationOrder): Promise<Ordered>;
  /** Where the decision on calls will say that a task left its purpose. */
  readonly deviations: Deviations;
  close(): void;
}

/** The revocation log of this gateway: read, applied, ordered. */
export function buildRevocation(parts: {
  workspace: Workspace;
  standing: Standing;
  tasks: TaskRegistry;
  leases: LeaseManager;
  catalogue: Catalogue;
  wire: Wire;
  approvals: Pick<Approvals, 'endConnector'>;
  recorder: Recorder;
  recordLater: (entry: RecordEntry) => void;
  /** Version of the policies in force, for refusals. */
  policyVersion: () => string;
  /** What hears events without asking is closed. */
  closeStreams: () => void;
}): RevocationControl {
  const { workspace, standing, tasks, recorder, recordLater } = parts;
  const { estate, store, system } = workspace;
  const { clock, monotonic, schedule, log } = system;
  const { tenant } = estate;
  const applier = createApplier(parts);
  const reader = createRevocationReader({
    tenant,
    repository: store.revocations,
    standing,
    monotonic,
    schedule,
    log,
    apply: applier.apply,
    onDenial: noteDenial,
  });

  function noteDenial({ isDenying, position, unconfirmedMs, fault }: Denial): void {
    const detail = { position, unconfirmedMs, ...(fault !== undefined && { reason: fault }) };
    if (isDenying) {
      log.error(detail, 'the revocation log cannot be confirmed: everything is denied');
      parts.closeStreams();
    } else log.warn(detail, 'the revocation log is confirmed again: calls are served');
    recordLater({ type: isDenying ? 'denial_began' : 'denial_ended', detail });
  }

  async function order(wanted: RevocationOrder): Promise<Ordered> {
    const acknowledged = await revoke({ tenant, repository: store.revocations, reader, clock }, wanted);
    const applying = applier.effectsOf(acknowledged.row)?.catch(() => undefined);
    let cancel = (): void => {};
    const late = new Promise<undefined>((resolve) => {
      cancel = schedule(WAIT_MS, () => resolve(undefined));
    });
    const effects = await Promise.race([applying, late]);
    cancel();
    return { ...acknowledged, effects };
  }

  return {
    async start() {
      await reader.start();
      applier.begin();
    },
    isCurrent: reader.isCurrent,
    confirm: reader.retry,
    poll: reader.poll,
    async assertCurrent() {
      await reader.retry();
      if (reader.denies()) throw new RemitError('ERR_STORE_UNREACHABLE', UNCONFIRMED.reason);
    },
    assertServed(connector) {
      if (applier.connectors.size === 0 || !applier.connectors.has(connector)) return;
      throw new RemitError('ERR_CONNECTOR_UNREACHABLE', `connector ${connector} is suspended`, {
        where: connector,
        hint: `\`remit connector resume ${connector}\` takes it back.`,
        isUnsent: true,
      });
    },
    barred(id) {
      if (reader.denies()) return UNCONFIRMED;
      const row = tasks.suspension(id);
      if (row === undefined) return undefined;
      return {
        kind: 'denied',
        decision: {
          verdict: 'deny',
          gate: 'task',
          policies: ['remit:suspended'],
          reason: `${suspendedBy(id, row)}.`,
          nextStep: 'Stop, and tell your user. Calls are served again when an administrator resumes it.',
          policyVersion: parts.policyVersion(),
        },
      };
    },
    order,
    deviations: createDeviations({
      ...workspace.config.deviations,
      record(id, detail) {
        const task = tasks.live().find((one) => one.id === id);
        return recorder.record({ type: 'deviation', ...(task && identityOfTask(task)), task: id, detail });
      },
      order,
    }),
    close: reader.close,
  };
}

const UNCONFIRMED: Extract<Refusal, { kind: 'unavailable' }> = {
  kind: 'unavailable',
  code: 'ERR_STORE_UNREACHABLE',
  reason: 'the gateway cannot confirm that nothing has been revoked, and so denies everything',
  nextStep: 'Nothing was sent. Try again in a few seconds; it recovers by itself when its store answers.',
  isForwarded: false,
};
