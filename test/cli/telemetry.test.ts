import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AuditRecord } from '../../src/domain/record.ts';
import { type FakeCollector, startCollector } from '../support/fake-otlp-collector.ts';
import { connectTo, findPort, makeClient } from '../support/whole-gateway.ts';
import { endAll, type Home, makeHome, run, runJson, startUp, type Up, until } from './remit.ts';

/** Spans and metrics of a whole gateway, held against its journal. */

let home: Home;
let gateway: Up;
let collector: FakeCollector;
let port: number;
const CANARY = 'Bearer collector-canary-7f3a';
const LINK = { trace: '0af7651916cd43dd8448eb211c80319c', span: 'b7ad6b7169203331' };

beforeAll(async () => {
  home = await makeHome();
  collector = await startCollector();
  port = await findPort();
  await run(['secret', 'put', 'collector', '--config', home.config], { input: CANARY });
  await writeFile(
    home.config,
    `telemetry: { otlp: { url: "${collector.url}", headers: { authorization: collector } }, metrics: { port: ${port} } }\n`,
    { flag: 'a' },
  );
  gateway = await startUp(home.config);
});
afterAll(async () => {
  await collector?.close();
  await endAll();
});

async function records(type: string): Promise<AuditRecord[]> {
  const { stdout } = await run(['audit', 'export', '--type', type, '--config', home.config]);
  return stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as AuditRecord);
}

describe('telemetry of a whole gateway', () => {
  it('A2 the trace and span ids of a collector are those of the journal, for calls that are served and denied', async () => {
    const { token } = await runJson<{ token: string }>(['token', '--agent', 'my-agent', '--config', home.config]);
    const client = await connectTo(makeClient('legacy'), gateway, token);
    await client.callTool({
      name: 'files__read_text_file',
      arguments: { path: join(home.workspace, 'hello.txt') },
      _meta: { traceparent: `00-${LINK.trace}-${LINK.span}-01` },
    });
    await client.callTool({ name: 'files__read_text_file', arguments: { path: join(home.workspace, 'none.txt') } });
    await client.callTool({ name: 'files__no_such_tool', arguments: {} }).catch(() => {});
    const spans = await until(() => collector.spans.length >= 3 && collector.spans, 'three spans at the collector');
    const decisions = await records('decision');
    expect(spans.map(({ traceId, spanId }) => `${traceId} ${spanId}`)).toEqual(
      decisions.map(({ trace, span }) => `${trace} ${span}`),
    );
    const [good, failed, denied] = spans;
    expect(good).toMatchObject({ name: 'tools/call read_text_file', attributes: { 'remit.status': 'ok' } });
    expect(good?.links).toMatchObject([{ traceId: LINK.trace, spanId: LINK.span }]);
    expect(decisions[0]?.detail.link).toEqual(LINK);
    expect(failed?.attributes['error.type']).toBe('tool_error');
    expect(denied?.attributes['error.type']).toBe('denied_profile');
    expect(collector.headers[0]?.authorization).toBe(CANARY);
    await client.close();
  });

  it('metrics say the same, and nothing of them is at the gateway’s own port', async () => {
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    expect(text).toContain('remit_calls_total{connector="files",verdict="permit",gate="none"} 2');
    expect(text).toContain('remit_calls_total{connector="none",verdict="deny",gate="profile"} 1');
    expect(text).toContain('remit_call_outcomes_total{connector="files",status="tool_error"} 1');
    expect(text).toMatch(/^remit_tasks_active 1$/m);
    expect(text).toMatch(/^remit_journal_append_seconds_count [1-9]/m);
    expect(text).toMatch(/^remit_items\{status="undescribed"\} [1-9]/m);
    const size = Number(/^remit_journal_records (\d+)$/m.exec(text)?.[1]);
    expect(size).toBeGreaterThanOrEqual((await records('decision')).length);
    expect((await fetch(`${gateway.url}/metrics`)).status).toBe(404);
  });

  it('L6 the collector’s secret is in no log and no record, and a stop sends what is left', async () => {
    const before = collector.spans.length;
    const [task] = await runJson<{ id: string }[]>(['task', 'ls', '--config', home.config]);
    await run(['task', 'end', task?.id as string, '--config', home.config]);
    expect(await gateway.stop()).toBe(0);
    expect(collector.spans.slice(before).map(({ name }) => name)).toEqual([expect.stringMatching(/^task /)]);
    const { stdout } = await run(['audit', 'export', '--config', home.config]);
    expect(stdout + gateway.stdout() + gateway.stderr()).not.toContain('collector-canary');
  });
});
