import { request } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { createPrometheusMetrics } from '../../src/adapters/telemetry/prometheus-metrics.ts';
import { connectorId } from '../../src/domain/ids.ts';
import { type MetricsServer, serveMetrics } from '../../src/http/metrics-server.ts';
import type { Readings } from '../../src/seams/telemetry.ts';
import { timeAppends } from '../../src/telemetry/time-appends.ts';
import { memoryJournal } from '../audit/fixtures.ts';
import { CALL } from './samples.ts';

const READINGS: Readings = {
  journalRecords: 12,
  journalBehind: { archive: 7, rows: 3 },
  tasks: 2,
  sessions: 3,
  connections: 4,
  leases: { active: 5, revoking: 1 },
  revocationsOutstanding: 1,
  items: { undescribed: 7, described: 8 },
  itemsRecent: { undescribed: 6, described: 1 },
  risks: { high: 2 },
  findings: { high: 1 },
  undescribedOldest: 86_400,
  spansLost: 0,
};
const log = { debug() {}, info() {}, warn() {}, error() {} };
const make = (read: () => Promise<Readings> = async () => READINGS) =>
  createPrometheusMetrics({ version: '0.1.0', read });
const sampleOf = (text: string, line: string): number | undefined => {
  const found = text.split('\n').find((one) => one.startsWith(`${line} `));
  return found === undefined ? undefined : Number(found.split(' ').at(-1));
};

describe('metrics', () => {
  it('count calls by verdict, gate and connector, and time the permitted ones', async () => {
    const metrics = make();
    metrics.call(CALL);
    metrics.call({ ...CALL, status: 'tool_error' });
    metrics.call({ ...CALL, verdict: 'deny', gate: 'task', status: undefined });
    metrics.call({ ...CALL, item: undefined, verdict: 'deny', gate: 'profile', status: undefined });
    const { text, type } = await metrics.render();
    expect(type).toContain('text/plain');
    expect(sampleOf(text, 'remit_calls_total{connector="shop",verdict="permit",gate="none"}')).toBe(2);
    expect(sampleOf(text, 'remit_calls_total{connector="shop",verdict="deny",gate="task"}')).toBe(1);
    expect(sampleOf(text, 'remit_calls_total{connector="none",verdict="deny",gate="profile"}')).toBe(1);
    expect(sampleOf(text, 'remit_call_outcomes_total{connector="shop",status="tool_error"}')).toBe(1);
    expect(sampleOf(text, 'remit_call_duration_seconds_count{connector="shop"}')).toBe(2);
    expect(sampleOf(text, 'remit_call_duration_seconds_sum{connector="shop"}')).toBe(0.5);
  });

  it('M7 say how often people are asked for a task, and how long they take', async () => {
    const metrics = make();
    for (const reason of ['completed', 'completed', 'expired'] as const) metrics.task(reason);
    metrics.approval('requested');
    metrics.approval('approved', 42);
    metrics.approval('requested');
    metrics.approval('denied', 400);
    metrics.approval('used');
    metrics.signal('denials');
    const { text } = await metrics.render();
    expect(sampleOf(text, 'remit_tasks_ended_total{reason="completed"}')).toBe(2);
    expect(sampleOf(text, 'remit_tasks_ended_total{reason="expired"}')).toBe(1);
    expect(sampleOf(text, 'remit_approvals_total{event="requested"}')).toBe(2);
    expect(sampleOf(text, 'remit_approvals_total{event="used"}')).toBe(1);
    expect(sampleOf(text, 'remit_approval_decision_seconds_count')).toBe(2);
    expect(sampleOf(text, 'remit_approval_decision_seconds_sum')).toBe(442);
    expect(sampleOf(text, 'remit_approval_decision_seconds_bucket{le="60"}')).toBe(1);
    expect(sampleOf(text, 'remit_risk_signals_total{kind="denials"}')).toBe(1);
  });

  it('M1 say whether describing keeps up with discovery', async () => {
    const { text } = await make().render();
    expect(sampleOf(text, 'remit_items{status="undescribed"}')).toBe(7);
    expect(sampleOf(text, 'remit_items_recent{status="undescribed"}')).toBe(6);
    expect(sampleOf(text, 'remit_items_recent{status="described"}')).toBe(1);
    expect(sampleOf(text, 'remit_undescribed_oldest_seconds')).toBe(86_400);
    expect(sampleOf(text, 'remit_risk_subjects{level="high"}')).toBe(2);
  });

  it('read the rest when somebody asks, and what has gone is gone', async () => {
    let now = READINGS;
    const metrics = make(async () => now);
    const { text } = await metrics.render();
    expect(sampleOf(text, 'remit_leases{state="active"}')).toBe(5);
    expect(sampleOf(text, 'remit_items{status="undescribed"}')).toBe(7);
    expect(sampleOf(text, 'remit_findings{severity="high"}')).toBe(1);
    expect(sampleOf(text, 'remit_journal_records')).toBe(12);
    expect(sampleOf(text, 'remit_sessions')).toBe(3);
    expect(sampleOf(text, 'remit_revocations_outstanding')).toBe(1);
    now = { ...READINGS, leases: { active: 1 } };
    const later = (await metrics.render()).text;
    expect(sampleOf(later, 'remit_leases{state="active"}')).toBe(1);
    expect(sampleOf(later, 'remit_leases{state="revoking"}')).toBeUndefined();
  });

  it('I3 have a bounded number of series, and none with a name of a client’s choosing', async () => {
    const metrics = make();
    for (let n = 0; n < 1_000; n++)
      metrics.call({ ...CALL, item: { kind: 'tool', connector: connectorId(`c${n}`), name: `tool-${n}` } });
    const { text } = await metrics.render();
    const series = text.split('\n').filter((line) => line.startsWith('remit_calls_total{'));
    expect(series).toHaveLength(201);
    expect(sampleOf(text, 'remit_calls_total{connector="other",verdict="permit",gate="none"}')).toBe(800);
    expect(text).not.toContain('tool-1');
    expect(text).not.toContain('tsk_');
  });

  it('time the appends that somebody waits for', async () => {
    const metrics = make();
    let now = 0;
    const journal = timeAppends(memoryJournal(), () => (now += 0.25), metrics.appended);
    await journal.append('x');
    journal.appendLater('y', () => {});
    const { text } = await metrics.render();
    expect(sampleOf(text, 'remit_journal_append_seconds_count')).toBe(1);
    expect(sampleOf(text, 'remit_journal_append_seconds_sum')).toBe(0.25);
    expect(journal.size).toBe(2);
  });
});

describe('where they are served', () => {
  let server: MetricsServer | undefined;
  afterEach(async () => {
    await server?.close();
    server = undefined;
  });

  /** `fetch` would not let a test choose `Host`. */
  function ask(path: string, more: { method?: string; host?: string } = {}): Promise<{ status: number; text: string }> {
    return new Promise((resolve, reject) => {
      const call = request(
        {
          host: '127.0.0.1',
          port: server?.port,
          path,
          method: more.method ?? 'GET',
          headers: { host: more.host ?? '127.0.0.1' },
        },
        (response) => {
          let text = '';
          response.setEncoding('utf8').on('data', (chunk: string) => {
            text += chunk;
          });
          response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
        },
      );
      call.on('error', reject);
      call.end();
    });
  }

  it('is loopback, one path, for reading; a page that was led here by name is turned away', async () => {
    server = await serveMetrics(0, make(), log);
    expect((await ask('/metrics')).text).toContain('remit_info{version="0.1.0"} 1');
    expect((await ask('/metrics', { host: `localhost:${server.port}` })).status).toBe(200);
    expect((await ask('/')).status).toBe(404);
    expect((await ask('/metrics', { method: 'POST' })).status).toBe(405);
    expect((await ask('/metrics', { host: 'evil.example' })).status).toBe(421);
  });

  it('says that it cannot read when the store cannot serve, and reads again later', async () => {
    let isDown = true;
    server = await serveMetrics(
      0,
      make(async () => (isDown ? Promise.reject(new Error('no store')) : READINGS)),
      log,
    );
    expect((await ask('/metrics')).status).toBe(503);
    isDown = false;
    expect((await ask('/metrics')).status).toBe(200);
  });

  it('a port that is taken stops the start', async () => {
    server = await serveMetrics(0, make(), log);
    await expect(serveMetrics(server.port, make(), log)).rejects.toMatchObject({
      code: 'ERR_ALREADY_RUNNING',
      where: 'telemetry.metrics.port',
    });
  });
});
