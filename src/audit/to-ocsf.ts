import type { AuditRecord } from '../domain/record.ts';
import { RISK_LEVELS } from '../domain/risk.ts';
import { OCSF_CLASSES, OCSF_OF_TYPE, OCSF_VERSION, type OcsfClassName } from './ocsf-classes.ts';

export type OcsfEvent = Readonly<Record<string, unknown>>;

/**
 * A record as an OCSF event: attributes of its class where OCSF has them, and the whole `detail` under `unmapped`, so that nothing is lost.
 * Sealed content stays behind: the log keeps it. The human stands in `actor.user`, the machine in `actor.app_name`; neither for the other.
 * @param version of this Remit
 */
export function toOcsf(record: AuditRecord, version: string): OcsfEvent {
  const mapping = OCSF_OF_TYPE[record.type] ?? { class: 'base', activity: 99, activityName: record.type };
  const { uid, name, category } = OCSF_CLASSES[mapping.class];
  const time = Date.parse(record.time);
  const trace = record.trace;
  return {
    class_uid: uid,
    class_name: name,
    category_uid: category,
    activity_id: mapping.activity,
    activity_name: mapping.activityName,
    type_uid: uid * 100 + mapping.activity,
    time,
    ...verdictOf(record),
    message: messageOf(record),
    metadata: {
      version: OCSF_VERSION,
      product: { name: 'Remit', vendor_name: 'Remit', version },
      log_name: 'remit audit',
      event_code: record.type,
      sequence: record.seq,
      uid: `${record.tenant}/${record.seq}`,
      original_time: record.time,
      tenant_uid: record.tenant,
      ...(trace !== undefined && { correlation_uid: trace }),
      ...(mapping.class === 'apiActivity' && {
        profiles:
          record.type === 'decision' || record.type === 'evaluation'
            ? ['ai_operation', 'trace', 'security_control']
            : ['ai_operation', 'trace'],
      }),
    },
    ...PARTS[mapping.class](record, version),
    unmapped: { remit: unmappedOf(record) },
  };
}

/** One event a line. */
export async function* toOcsfLines(records: AsyncIterable<AuditRecord>, version: string): AsyncGenerator<string, void> {
  for await (const record of records) yield `${JSON.stringify(toOcsf(record, version))}\n`;
}

type Parts = (record: AuditRecord, version: string) => Readonly<Record<string, unknown>>;

/** What each class has of its own. */
const PARTS: Readonly<Record<OcsfClassName, Parts>> = {
  base: (record) => ({ actor: actorOf(record) }),
  apiActivity: (record) => ({
    actor: actorOf(record),
    api: apiOf(record),
    src_endpoint: { name: record.agent ?? operatorOf(record), svc_name: 'agent' },
    ...(record.connector !== undefined && { dst_endpoint: { name: record.connector, svc_name: 'mcp server' } }),
    ...(record.tool !== undefined && { resources: [{ uid: record.tool, name: record.tool, type: 'mcp item' }] }),
    ...(record.trace !== undefined && { trace: traceOf(record) }),
    message_context: {
      ai_role_id: record.type === 'prompt' ? 1 : record.type === 'outcome' ? 3 : 4,
      service: { name: record.connector ?? 'remit' },
      ...(record.agent !== undefined && { application: { name: record.agent } }),
    },
  }),
  detectionFinding: (record) => ({
    actor: actorOf(record),
    finding_info: {
      uid: `${record.tenant}/${record.seq}`,
      title: String(record.detail.what ?? record.detail.signal ?? record.type),
      types: textsOf([record.detail.signal]),
    },
    ...(record.tool !== undefined && { resources: [{ uid: record.tool, name: record.tool, type: 'mcp item' }] }),
    is_alert: worstLevel(record.detail) >= RISK_LEVELS.indexOf('high'),
  }),
  authentication: (record) => ({
    actor: actorOf(record),
    user: subjectOf(record),
    service: { name: 'remit' },
    auth_protocol_id: 6,
    auth_protocol: 'OAUTH 2.0',
    is_remote: true,
    ...sessionOf(record),
  }),
  authorizeSession: (record) => ({
    actor: actorOf(record),
    user: subjectOf(record),
    privileges: textsOf(record.detail.tools),
    ...sessionOf(record),
  }),
  accountChange: (record) => ({
    actor: actorOf(record),
    user: {
      uid: String(record.detail.tag ?? record.lease ?? 'unknown'),
      name: String(record.detail.tag ?? record.lease ?? 'unknown'),
      type_id: 4,
      type: 'Service',
      ...(record.connector !== undefined && { domain: record.connector }),
      ...(record.lease !== undefined && { credential_uid: record.lease }),
    },
    ...(typeof record.detail.scope === 'string' && { policies: [{ name: record.detail.scope, type: 'scope' }] }),
  }),
  entityManagement: (record) => ({
    actor: actorOf(record),
    entity: { name: entityOf(record), type: String(record.detail.action ?? record.type) },
    comment: String(record.detail.reason ?? record.detail.action ?? ''),
  }),
  applicationLifecycle: (record, version) => ({
    actor: actorOf(record),
    app:
      record.type === 'connector_started'
        ? {
            name: record.connector ?? 'unknown',
            vendor_name: String(record.detail.package ?? 'unknown'),
            version: String(record.detail.version ?? 'unknown'),
          }
        : { name: 'Remit', vendor_name: 'Remit', version: String(record.detail.version ?? version) },
  }),
};

/** OCSF: at least one of user, app and others. Who only asked, unproven, is not the actor. */
function actorOf(record: AuditRecord): Readonly<Record<string, unknown>> {
  const { user, agent, actors, workload, task } = record;
  const by = record.detail.by;
  return {
    ...(user !== undefined
      ? { user: { uid: user, name: user, type_id: 1, type: 'User' } }
      : typeof by === 'string' && { user: { name: by, type_id: 2, type: 'Admin' } }),
    app_name: agent ?? 'remit',
    ...(workload !== undefined && { app_uid: workload }),
    ...(actors !== undefined && actors.length > 0 && { invoked_by: actors.join(', ') }),
    ...(task !== undefined && { session: { uid: task } }),
  };
}

function entityOf({ task, detail }: AuditRecord): string {
  return String(task ?? detail.task ?? detail.lease ?? detail.subject ?? detail.name ?? detail.action ?? 'unknown');
}

const operatorOf = (record: AuditRecord): string => (typeof record.detail.by === 'string' ? record.detail.by : 'remit');

/** Whose authentication or session it is: the person, or the agent that acts for nobody. */
function subjectOf({ user, agent, detail }: AuditRecord): Readonly<Record<string, unknown>> {
  if (user !== undefined) return { uid: user, name: user, type_id: 1, type: 'User' };
  const name = agent ?? (typeof detail.named === 'string' ? detail.named : 'unknown');
  return { uid: name, name, type_id: 4, type: 'Service' };
}

function sessionOf({ task, detail }: AuditRecord): Readonly<Record<string, unknown>> {
  if (task === undefined) return {};
  const expires = typeof detail.expires === 'string' ? Date.parse(detail.expires) : Number.NaN;
  return { session: { uid: task, issuer: 'remit', ...(Number.isFinite(expires) && { expiration_time: expires }) } };
}

function apiOf({ type, connector, span, detail }: AuditRecord): Readonly<Record<string, unknown>> {
  const code = detail.code ?? detail.problem;
  return {
    operation: typeof detail.method === 'string' ? detail.method : type,
    service: { name: connector ?? 'remit' },
    ...(span !== undefined && { request: { uid: span } }),
    ...(type === 'outcome' && {
      response: {
        code: detail.status === 'ok' ? 0 : 1,
        message: String(detail.status ?? 'unknown'),
        ...(code !== undefined && { error: String(code) }),
      },
    }),
  };
}

/** OCSF's `span` has both its ends: only an outcome knows them. */
function traceOf({ trace, span, type, time, detail }: AuditRecord): Readonly<Record<string, unknown>> {
  const { durationMs } = detail;
  if (span === undefined || type !== 'outcome' || typeof durationMs !== 'number') return { uid: trace };
  const end = Date.parse(time);
  return { uid: trace, span: { uid: span, start_time: end - Math.round(durationMs), end_time: end } };
}

/** Of all whom a signal concerns: a place in the list of levels. */
function worstLevel({ levels }: AuditRecord['detail']): number {
  const said = typeof levels === 'object' && levels !== null ? Object.values(levels) : [];
  return Math.max(0, ...said.map((level) => RISK_LEVELS.indexOf(level)));
}

/** Status, severity and, of a decision, what was done about it. */
function verdictOf({ type, detail }: AuditRecord): Readonly<Record<string, unknown>> {
  const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
  switch (type) {
    case 'decision':
    case 'evaluation': {
      const isPermit = detail.verdict === 'permit';
      return {
        severity_id: isPermit ? 1 : 2,
        status_id: isPermit ? 1 : 2,
        status_code: text(detail.gate) ?? 'unknown',
        status_detail: text(detail.reason) ?? '',
        action_id: isPermit ? 1 : 2,
        disposition_id: isPermit ? 1 : 2,
        policy: { name: textsOf(detail.policies).join(', ') || 'none', version: text(detail.policyVersion) ?? '' },
      };
    }
    case 'outcome': {
      const isKnown = detail.status !== 'unknown' && detail.status !== 'outcome_unknown';
      const isGood = detail.status === 'ok' || detail.status === 'input_required';
      return {
        severity_id: detail.credentialsWithheld === undefined ? 1 : 4,
        status_id: !isKnown ? 0 : isGood ? 1 : 2,
        status_code: text(detail.status) ?? 'unknown',
      };
    }
    case 'authentication_refused':
      return { severity_id: 2, status_id: 2, status_detail: text(detail.reason) ?? '' };
    case 'revocation':
      return {
        severity_id: detail.outcome === 'failed' ? 4 : 1,
        status_id: detail.outcome === 'failed' ? 2 : 1,
        status_code: text(detail.outcome) ?? 'unknown',
        status_detail: text(detail.reason) ?? '',
      };
    case 'signal': {
      const rank = worstLevel(detail);
      return { severity_id: rank + 2, status_id: 1, risk_level_id: rank + 1, risk_level: RISK_LEVELS[rank] ?? 'low' };
    }
    case 'content_read':
      return { severity_id: 3, status_id: 1, status_detail: text(detail.reason) ?? '' };
    default:
      return { severity_id: 1, status_id: 1 };
  }
}

function messageOf({ type, agent, user, tool, connector, detail }: AuditRecord): string {
  const what = [detail.verdict, detail.status, detail.outcome, detail.action].find((one) => typeof one === 'string');
  return [type, what, tool ?? connector, agent && `by ${agent}`, user && `for ${user}`].filter(Boolean).join(' ');
}

function unmappedOf({
  seq: _,
  time: __,
  tenant: ___,
  sealed,
  ...rest
}: AuditRecord): Readonly<Record<string, unknown>> {
  return { ...rest, ...(sealed !== undefined && { isSealed: true }) };
}

const textsOf = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string') : [];
