import { describe, expect, it } from 'vitest';
import { readRecords } from '../../src/audit/read-records.ts';
import { type OcsfEvent, toOcsf, toOcsfLines } from '../../src/audit/to-ocsf.ts';
import { leaseId } from '../../src/domain/ids.ts';
import { type AuditRecord, RECORD_TYPES, type RecordType } from '../../src/domain/record.ts';
import { collect, IDENTITY, TENANT } from './fixtures.ts';

/**
 * What OCSF 1.8.0 requires (https://schema.ocsf.io/1.8.0, read class by class): of every event, of each class that we use, and of the objects in
 * them. A list of alternatives is a constraint `at_least_one`.
 */
const OF_ANY_EVENT = [
  'activity_id',
  'category_uid',
  'class_uid',
  'metadata',
  'metadata.product',
  'metadata.version',
  'severity_id',
  'time',
  'type_uid',
];
const OF_CLASS: Readonly<Record<number, readonly (string | readonly string[])[]>> = {
  0: [],
  2004: ['finding_info', 'finding_info.uid'],
  3001: ['user', ['user.uid', 'user.name', 'user.account']],
  3002: ['user', ['user.uid', 'user.name', 'user.account'], ['service', 'dst_endpoint']],
  3003: ['user', ['user.uid', 'user.name', 'user.account'], 'privileges'],
  3004: ['entity', ['entity.name', 'entity.uid']],
  6002: ['app', ['app.name', 'app.uid']],
  6003: ['actor', 'api', 'api.operation', 'src_endpoint', ['src_endpoint.name', 'src_endpoint.uid']],
};
const ACTIVITIES: Readonly<Record<number, readonly number[]>> = {
  0: [0, 99],
  2004: [0, 1, 2, 3, 99],
  3001: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 99],
  3002: [0, 1, 2, 3, 4, 5, 6, 7, 99],
  3003: [0, 1, 2, 99],
  3004: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 99],
  6002: [0, 1, 2, 3, 4, 5, 6, 7, 8, 99],
  6003: [0, 1, 2, 3, 4, 99],
};
/** Of an object, wherever it stands, if it stands there. */
const OF_OBJECT: readonly (readonly [string, readonly (string | readonly string[])[]])[] = [
  ['actor', [['user', 'app_name', 'app_uid', 'session', 'invoked_by', 'process']]],
  ['actor.user', [['uid', 'name', 'account']]],
  ['metadata.product', [['name', 'uid']]],
  ['api.request', ['uid']],
  ['trace', ['uid']],
  ['trace.span', ['uid', 'start_time', 'end_time']],
  ['message_context', [['application', 'service']]],
  ['message_context.service', [['name', 'uid']]],
  ['message_context.application', [['name', 'uid']]],
  ['policy', [['name', 'uid', 'type']]],
  ['dst_endpoint', [['name', 'uid', 'ip', 'hostname']]],
];

function valueAt(event: unknown, path: string): unknown {
  return path.split('.').reduce<unknown>((at, part) => (at as Record<string, unknown> | undefined)?.[part], event);
}

function problemsOf(event: OcsfEvent): string[] {
  const problems: string[] = [];
  const need = (at: unknown, wanted: string | readonly string[], where: string): void => {
    const paths = typeof wanted === 'string' ? [wanted] : wanted;
    const isThere = paths.some((path) => valueAt(at, path) !== undefined && valueAt(at, path) !== '');
    if (!isThere) problems.push(`${where} lacks ${paths.join(' or ')}`);
  };
  const { class_uid: uid, activity_id: activity } = event as { class_uid: number; activity_id: number };
  const ofClass = OF_CLASS[uid];
  if (ofClass === undefined) return [`there is no class ${uid}`];
  for (const wanted of [...OF_ANY_EVENT, ...ofClass]) need(event, wanted, `class ${uid}`);
  for (const [path, members] of OF_OBJECT) {
    const object = valueAt(event, path);
    if (object !== undefined) for (const wanted of members) need(object, wanted, path);
  }
  if (!ACTIVITIES[uid]?.includes(activity)) problems.push(`class ${uid} has no activity ${activity}`);
  if (event.type_uid !== uid * 100 + activity) problems.push('type_uid is not class_uid * 100 + activity_id');
  if (event.category_uid !== Math.floor(uid / 1000)) problems.push('category_uid is not that of the class');
  if (!Number.isInteger(event.time)) problems.push('time is not in milliseconds');
  return problems;
}

const DETAILS: Readonly<Partial<Record<RecordType, Record<string, unknown>>>> = {
  task_started: { purpose: 'look at orders', tools: ['shop_db/query'], expires: '2026-01-02T04:00:00.000Z' },
  decision: { verdict: 'deny', gate: 'task', policies: ['remit:task-tool'], reason: 'outside', method: 'tools/call' },
  outcome: { status: 'tool_error', durationMs: 12.5 },
  credential_issued: { tag: 'remit_a', scope: 'SELECT on public.orders', issuer: 'postgres' },
  revocation: { tag: 'remit_a', outcome: 'failed', reason: 'task ended' },
  administration: { action: 'task_end', by: 'dana', task: 'tsk_a' },
  authentication_refused: { at: 'token endpoint', named: 'somebody', reason: 'bad key' },
  content_read: { by: 'dana', reason: 'incident 7' },
  evaluation: { by: 'crm', effect: 'call', verdict: 'deny', gate: 'agent_policy', policies: ['closed'], reason: 'no' },
  signal: {
    signal: 'canary',
    what: 'a canary was carried',
    points: 50,
    levels: { 'task tsk_a': 'critical', 'agent triage-bot': 'elevated' },
  },
};

function record(type: RecordType, more: object = {}): AuditRecord {
  return {
    seq: 7,
    time: '2026-01-02T03:04:05.678Z',
    tenant: TENANT,
    ...IDENTITY,
    type,
    detail: DETAILS[type] ?? {},
    ...more,
  };
}

/** The least that a record has. */
function bare(type: RecordType): AuditRecord {
  return { seq: 0, time: '2026-01-02T03:04:05.678Z', tenant: TENANT, type, detail: {} };
}

describe('OCSF', () => {
  it.each(RECORD_TYPES)(
    'a record of type %s has what its class requires, with everything known and with nothing',
    (type) => {
      expect(problemsOf(toOcsf(record(type), '0.1.0'))).toEqual([]);
      expect(problemsOf(toOcsf(bare(type), '0.1.0'))).toEqual([]);
    },
  );

  it('a type of a later Remit becomes a base event that keeps what it says', () => {
    const event = toOcsf(record('tomorrow' as RecordType, { detail: { said: 'x' } }), '0.1.0');
    expect(problemsOf(event)).toEqual([]);
    expect(event).toMatchObject({ class_uid: 0, unmapped: { remit: { type: 'tomorrow', detail: { said: 'x' } } } });
  });

  it('the check sees what is missing', () => {
    const { src_endpoint: _, ...event } = toOcsf(record('decision'), '0.1.0');
    expect(problemsOf(event)).toEqual([
      'class 6003 lacks src_endpoint',
      'class 6003 lacks src_endpoint.name or src_endpoint.uid',
    ]);
  });

  it('A2 keeps the human and the machine apart, and the ids that join the story', () => {
    const event = toOcsf(record('decision'), '0.1.0');
    expect(event).toMatchObject({
      actor: {
        user: { uid: 'https://idp.example.org#alice', type_id: 1 },
        app_name: 'triage-bot',
        app_uid: 'private_key_jwt:abc',
        invoked_by: 'helper',
        session: { uid: 'tsk_a' },
      },
      metadata: {
        correlation_uid: IDENTITY.trace,
        sequence: 7,
        profiles: ['ai_operation', 'trace', 'security_control'],
      },
      api: { operation: 'tools/call', request: { uid: IDENTITY.span } },
      status_id: 2,
      action_id: 2,
      unmapped: { remit: { lease: 'lse_a', task: 'tsk_a', detail: { gate: 'task' } } },
    });
    const { user: _, ...alone } = record('decision');
    expect(toOcsf(alone as AuditRecord, '0.1.0').actor as object).not.toHaveProperty('user');
  });

  it('an evaluation is told as what was decided, a signal as a finding as grave as the worst level', () => {
    expect(toOcsf(record('evaluation'), '0.1.0')).toMatchObject({
      class_uid: 6003,
      status_id: 2,
      action_id: 2,
      policy: { name: 'closed' },
      metadata: { profiles: ['ai_operation', 'trace', 'security_control'] },
    });
    expect(toOcsf(record('signal'), '0.1.0')).toMatchObject({
      class_uid: 2004,
      type_uid: 200401,
      severity_id: 5,
      risk_level_id: 4,
      is_alert: true,
      finding_info: { uid: `${TENANT}/7`, title: 'a canary was carried', types: ['canary'] },
    });
    expect(toOcsf(record('signal', { detail: { levels: { 'task tsk_a': 'low' } } }), '0.1.0')).toMatchObject({
      severity_id: 2,
      risk_level_id: 1,
      is_alert: false,
    });
  });

  it('names the person at the keyboard of an administrative change', () => {
    const { user: _, ...change } = record('administration');
    expect(toOcsf(change as AuditRecord, '0.1.0')).toMatchObject({ actor: { user: { name: 'dana', type_id: 2 } } });
  });

  it('gives the ends of a call to its span', () => {
    expect(toOcsf(record('outcome'), '0.1.0')).toMatchObject({
      trace: { uid: IDENTITY.trace, span: { uid: IDENTITY.span, end_time: Date.UTC(2026, 0, 2, 3, 4, 5, 678) } },
      status_id: 2,
      status_code: 'tool_error',
    });
  });

  it('A5 leaves sealed content behind', async () => {
    const sealed = { key: 'tsk_a', iv: 'aXY=', ciphertext: 'c2VjcmV0', tag: 'dGFn' };
    async function* payloads() {
      const { seq: _, ...rest } = record('decision', { sealed, lease: leaseId('lse_b') });
      yield { position: 7, payload: Buffer.from(JSON.stringify(rest)) };
    }
    const [line = ''] = await collect(toOcsfLines(readRecords(payloads()), '0.1.0'));
    expect(line).toMatch(/\}\n$/);
    expect(line).not.toContain('c2VjcmV0');
    expect(JSON.parse(line)).toMatchObject({ unmapped: { remit: { isSealed: true } } });
  });
});
