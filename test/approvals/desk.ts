import { randomBytes } from 'node:crypto';
import { type Approvals, createApprovals } from '../../src/approvals/approvals.ts';
import type { ApprovalRecord, DeskParts } from '../../src/approvals/desk-parts.ts';
import type { HeldCall } from '../../src/approvals/held-call.ts';
import { connectorId, type TaskId, toolRef } from '../../src/domain/ids.ts';
import { DEFAULT_TERMS, type StepUpTerms } from '../../src/domain/step-up.ts';
import type { Store } from '../../src/seams/store.ts';
import { decision, makeItem, makePrincipal, makeTask, TENANT } from '../support/fake-gateway-parts.ts';

/** Approvals over a store, with a clock that a test sets. */
export interface Desk {
  readonly approvals: Approvals;
  readonly records: ApprovalRecord[];
  readonly told: string[];
  now: number;
  position: number;
}

export const TERMS: StepUpTerms = { by: 'money', ...DEFAULT_TERMS };

export function makeDesk(store: Store, more: Partial<DeskParts> = {}): Desk {
  const records: ApprovalRecord[] = [];
  const told: string[] = [];
  const desk: { approvals: Approvals; records: ApprovalRecord[]; told: string[]; now: number; position: number } = {
    approvals: undefined as unknown as Approvals,
    records,
    told,
    now: 1_800_000_000_000,
    position: 0,
  };
  desk.approvals = createApprovals({
    tenant: TENANT,
    repository: store.approvals,
    record: async (entry) => records.push(entry),
    recordLater: (entry) => void records.push(entry),
    bindingKey: Buffer.alloc(32, 7),
    content: {
      seal: async (_, text) => ({ keyId: 'k', envelope: Buffer.from(text) }),
      open: async (_, sealed) => sealed.envelope.toString(),
    },
    directory: {
      approvers: ['os:ann', 'os:bo', 'os:cy'],
      groups: new Map([['finance', ['user:https://idp#fay', 'group:https://idp#money']]]),
    },
    ownerOf: () => 'ann',
    logPosition: () => desk.position,
    urlOf: (id) => `http://127.0.0.1/approvals/${id}`,
    notifiers: [],
    count: (event) => void told.push(event),
    perTask: 1_000,
    clock: () => desk.now,
    schedule: () => () => {},
    random: randomBytes,
    log: { debug() {}, info() {}, warn() {}, error() {} },
    ...more,
  });
  return desk;
}

export function heldCall(
  task: TaskId | string,
  args: Readonly<Record<string, unknown>>,
  more: { terms?: readonly StepUpTerms[]; version?: string; labels?: readonly string[] } = {},
): HeldCall {
  const own = { ...makeTask(String(task), 'helper', 1_000), expiresAt: 1_900_000_000_000 };
  return {
    principal: makePrincipal(own),
    task: own,
    span: '0'.repeat(16),
    method: 'tools/call',
    item: makeItem('tool', 'pay', { connector: connectorId('bank') }),
    args,
    argumentsText: JSON.stringify(args),
    decision: {
      ...decision('step_up', { policyVersion: more.version ?? 'v1' }),
      stepUp: { terms: more.terms ?? [TERMS], labels: more.labels ?? [], provenance: [] },
    },
  };
}

export const PAY = toolRef(connectorId('bank'), 'pay');
