import type { Recorder } from '../audit/recorder.ts';
import { RemitError } from '../domain/errors.ts';
import { connectorId, leaseId, taskId, traceId } from '../domain/ids.ts';
import { isJsonObject } from '../domain/json.ts';
import type { Flow } from '../flow/create-flow.ts';
import type { AdminOperation } from '../http/admin-socket.ts';
import type { SigningKeys } from '../http/authorization-server/signing-keys.ts';
import type { Catalogue } from '../inventory/catalogue.ts';
import type { LeaseManager } from '../leases/lease-manager.ts';
import { viewLease } from '../leases/lease-view.ts';
import { approvalOperations } from './approvals/approval-operations.ts';
import type { BuiltApprovals } from './approvals/build-approvals.ts';
import type { ConnectorAuthorizations } from './credentials/connector-authorizations.ts';
import type { ConnectorTokens } from './credentials/connector-tokens.ts';
import type { PolicyInForce } from './policies/policy-in-force.ts';
import { policyOperations } from './policies/policy-operations.ts';
import type { Ordered, RevocationControl } from './revocation/build-revocation.ts';
import {
  administrationOf,
  assertSubject,
  type PersonalOrder,
  readOrder,
  reportOf,
} from './revocation/order-revocation.ts';
import type { BuiltRisk } from './risk/build-risk.ts';
import { riskOperations } from './risk/risk-operations.ts';
import type { TrailKeeper } from './trail/keep-trail.ts';
import { type Administration, administrator } from './trail/record-administration.ts';
import type { Workspace } from './workspace.ts';

/** What the administration socket offers. A change is on the trail before it is made. */
export function adminOperations(parts: {
  workspace: Workspace;
  recorder: Recorder;
  leases: LeaseManager;
  approvals: BuiltApprovals;
  risk: Pick<BuiltRisk, 'levels' | 'clear'>;
  catalogue: Catalogue;
  flow: Pick<Flow, 'canaries'>;
  revocation: RevocationControl;
  signingKeys: SigningKeys;
  connectorTokens: ConnectorTokens;
  keeper: Pick<TrailKeeper, 'rotate'>;
  policies: PolicyInForce;
  /** Undefined where no connector's server wants OAuth. */
  authorizations: ConnectorAuthorizations | undefined;
  status: () => Readonly<Record<string, unknown>>;
}): Readonly<Record<string, AdminOperation>> {
  const { workspace, recorder, leases, catalogue, revocation, signingKeys, connectorTokens, authorizations, status } =
    parts;
  const { store, estate, system } = workspace;
  const administer = (change: Administration): Promise<number> =>
    recorder.record({ type: 'administration', detail: { ...change, by: administrator() } });

  const orderNow = (order: PersonalOrder): Promise<Ordered> => revocation.order({ ...order, by: administrator() });

  return {
    status,
    async 'end-task'({ task = '' }) {
      const id = taskId(task);
      const known = await store.tasks.get(estate.tenant, id);
      if (known === undefined) {
        throw new RemitError('ERR_NOT_FOUND', `there is no task ${id}`, {
          where: id,
          hint: '`remit task ls --all` lists them.',
        });
      }
      await administer({ action: 'task_end', task });
      // By the revocation log, so that it binds wherever the task is served.
      const { effects } = await orderNow({ action: 'revoke', subject: { kind: 'task', id: task }, reason: 'ended' });
      // Another node's, too.
      return { ended: known.state !== 'ended', ...(effects && { leases: effects.leases }) };
    },
    async 'revoke-lease'({ lease = '' }) {
      const id = leaseId(lease);
      await assertSubject(workspace, { kind: 'lease', id: lease });
      await administer({ action: 'lease_revoke', lease });
      await orderNow({ action: 'revoke', subject: { kind: 'lease', id: lease }, reason: 'revoked' });
      const row = await store.leases.get(estate.tenant, id);
      if (row === undefined) throw new RemitError('ERR_NOT_FOUND', `there is no lease ${id}`, { where: id });
      const view = viewLease(row, system.clock(), undefined);
      // What cannot be revoked is said to lapse, with the time at which it is over (guarantee L7).
      const { state, nativeExpiresAt, lastError } = view;
      return {
        state,
        ...(state === 'lapsing' && { until: nativeExpiresAt }),
        ...(state === 'failed' && { lastError }),
      };
    },
    /** A suspension, its end, or the kill switch. */
    async revoke(given) {
      const order = readOrder(given);
      await assertSubject(workspace, order.subject);
      await administer(administrationOf(order));
      return reportOf(await orderNow(order), true);
    },
    ...approvalOperations(workspace, parts.approvals, administer),
    ...policyOperations(parts.policies),
    ...riskOperations(parts.risk, administer),
    /** Calls made with each lease that is held here: rows learn of them when a lease ends. */
    'lease-uses': async () => ({ uses: Object.fromEntries(leases.calls()) }),
    /** For its owner's browser. Scopes are separated by spaces. */
    'authorize-connector': async ({ connector = '', scopes = '' }) =>
      authorizable(authorizations).begin(
        connector,
        scopes.split(' ').filter((scope) => scope !== ''),
      ),
    'deauthorize-connector': async ({ connector = '' }) => authorizable(authorizations).end(connector),
    authorizations: async () => ({ authorizations: (await authorizations?.list()) ?? [] }),
    refresh: async ({ connector = '' }) => ({ tools: (await catalogue.refresh(connectorId(connector))).length }),
    /** A change that the command line makes itself, in a store or file that it can open. */
    async record({ detail = '{}' }) {
      const change: unknown = JSON.parse(detail);
      // Anything else would be a record that nobody can read back, and the next start refuses a log with one.
      if (!isJsonObject(change)) throw new RemitError('ERR_USAGE', 'a record of a change is a JSON object');
      await recorder.record({ type: 'administration', detail: change });
    },
    /** Somebody is about to read sealed content, by a command that can open the store. */
    async 'record-content-read'({ detail = '{}', task, trace }) {
      const read: unknown = JSON.parse(detail);
      if (!isJsonObject(read)) throw new RemitError('ERR_USAGE', 'a record of a reading is a JSON object');
      await recorder.record({
        type: 'content_read',
        ...(trace !== undefined && { trace: traceId(trace) }),
        ...(task !== undefined && { task: taskId(task) }),
        detail: read,
      });
    },
    /** Canaries were added or removed, by a command that can open the store. */
    async 'reload-canaries'() {
      parts.flow.canaries.replace(await store.canaries.list(estate.tenant));
      return { canaries: parts.flow.canaries.size };
    },
    /** Takes up the vault's keys as the configuration names them by now: a rotation of the vault's key, without a restart. */
    async 'reload-vault-keys'() {
      const { keys } = workspace;
      await keys.reload();
      return { current: keys.current.keyId, former: keys.former.map(({ keyId }) => keyId) };
    },
    /** A new segment of the journal begins. */
    async 'rotate-journal'() {
      await administer({ action: 'journal_rotate' });
      return { ...(await parts.keeper.rotate()) };
    },
    async 'rotate-keys'() {
      await administer({ action: 'signing_keys_rotate' });
      await signingKeys.rotate();
      await connectorTokens.rotate();
      return { keys: [...signingKeys.publicJwks().keys, ...connectorTokens.publicKeys()].map((key) => key.kid) };
    },
  };
}

/** @throws `ERR_NOT_FOUND` where no connector is authorised at */
function authorizable(authorizations: ConnectorAuthorizations | undefined): ConnectorAuthorizations {
  if (authorizations !== undefined) return authorizations;
  throw new RemitError('ERR_NOT_FOUND', 'no connector is authorised at', {
    where: 'connectors',
    hint: 'Give one whose server wants OAuth `credential: { mcpOauth: {} }`, or one with tokens of another server `oauthRefresh`, and start the gateway again.',
  });
}
