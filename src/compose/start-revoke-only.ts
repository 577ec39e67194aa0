import { isRemitError, messageOf, RemitError } from '../domain/errors.ts';
import { serveAdminSocket } from '../http/admin-socket.ts';
import { openHttpServer } from '../http/server.ts';
import { createLeaseManager, type LeaseManager } from '../leases/lease-manager.ts';
import { ownUrl, workerPlace } from './addresses.ts';
import type { buildIssuers } from './credentials/issuers.ts';
import { leaseParts } from './credentials/lease-parts.ts';
import { orderOffTrail, readOrder } from './revocation/order-revocation.ts';
import type { RunningGateway } from './running-gateway.ts';
import type { Workspace } from './workspace.ts';

/** Operations that need the trail. What stops something needs none. */
const REFUSED = [
  'end-task',
  'revoke-lease',
  'refresh',
  'record',
  'record-content-read',
  'rotate-keys',
  'reload-vault-keys',
  'rotate-journal',
];

type Issuers = Awaited<ReturnType<typeof buildIssuers>>;

/**
 * What a gateway does whose journal is damaged, or shorter than a checkpoint that was kept elsewhere (A4), or whose store is older than its journal (V1): every credential of
 * an earlier gateway is revoked, from its row alone, and nothing is served. Nothing can be put on the record meanwhile, so
 * what is done is logged, and the rows show it.
 */
export async function startRevokeOnly(parts: {
  workspace: Workspace;
  issuers: Issuers;
  damage: RemitError;
  closers: (() => Promise<unknown> | unknown)[];
  close: () => Promise<void>;
}): Promise<RunningGateway> {
  const { workspace, damage, closers } = parts;
  const leases = sweepingLeases(workspace, parts.issuers);
  const { config, places, system } = workspace;
  const reason = `${damage.message}${damage.where === undefined ? '' : ` (${damage.where})`}`;
  const isJournal = damage.code === 'ERR_JOURNAL_DAMAGED';
  const hint = isJournal
    ? 'Run `remit audit verify`, keep the folder as evidence; restore a copy that verifies, or go on with a new journal: `remit audit accept-damage`.'
    : (damage.hint ?? '');
  const what = isJournal ? 'the journal is damaged' : 'the store was set back';
  system.log.error({ reason, hint }, `revoke-only: ${what}; credentials are revoked, nothing is served`);
  closers.push(() => leases.close());
  // A worker leaves the shared port to those that serve.
  const { worker } = workspace;
  const at = worker === undefined ? config.listen : workerPlace(config, worker.number);
  const isExclusive = worker !== undefined;
  const http = await openHttpServer(at.host, at.port, system, { isExclusive });
  closers.push(() => http.close());
  http.refuse({ status: 'revoke_only', error: 'revoke_only', error_description: `nothing is served: ${reason}` });
  const url = ownUrl(config, isExclusive ? config.listen : http);
  const swept = leases
    .recover()
    .then(() => leases.revokeAll(what))
    .catch((error: unknown) => system.log.error({ error: messageOf(error) }, 'the sweep of leases is not complete'));
  closers.push(() => swept);

  const refuse = (): never => {
    throw new RemitError(damage.code, `the gateway is revoke-only: ${reason}`, { hint });
  };
  const status = (): Readonly<Record<string, unknown>> => ({
    mode: 'revoke_only',
    url,
    pid: process.pid,
    tasks: 0,
    connections: 0,
    revoking: leases.counts().revoking,
    problems: [`revoke-only: ${reason}`],
    wayOn: hint,
  });
  const admin = await serveAdminSocket(places.socket, system.schedule, {
    status,
    // Leases can be looked at; none is used.
    'lease-uses': async () => ({ uses: {} }),
    revoke: (request) => {
      const order = readOrder(request);
      return order.action === 'resume' ? refuse() : orderOffTrail(workspace, order);
    },
    ...Object.fromEntries(REFUSED.map((name) => [name, refuse])),
  });
  closers.push(() => admin.close());
  const nothing = { tools: 0, undescribed: 0, problems: [], failed: new Promise<never>(() => {}) };
  return { url, revokeOnly: reason, wayOn: hint, ...nothing, close: parts.close };
}

/** What is opened, or the damage, or the older store, that stands in its way. */
export async function orDamage<T>(opening: Promise<T>): Promise<T | RemitError> {
  return await opening.catch((error: unknown) => {
    if (isDamage(error) || isRemitError(error, 'ERR_STORE_SET_BACK')) return error;
    throw error;
  });
}

export const isDamage = (error: unknown): error is RemitError => isRemitError(error, 'ERR_JOURNAL_DAMAGED');

/** A lease manager that revokes and puts nothing on the record. */
function sweepingLeases(workspace: Workspace, issuers: Issuers): LeaseManager {
  const { log } = workspace.system;
  return createLeaseManager({
    ...leaseParts(workspace, issuers),
    audit: async ({ type, lease, detail }) =>
      log.warn({ type, lease, detail }, 'not on the record: the gateway is revoke-only'),
  });
}
