import { describe, expect, it } from 'vitest';
import { versionsIn } from '../../src/compose/policies/policy-versions.ts';
import type { AuditRecord } from '../../src/domain/record.ts';

const record = (type: AuditRecord['type'], detail: object) =>
  ({ type, time: '2026-01-01T00:00:00Z', detail }) as unknown as AuditRecord;
const START = record('gateway_started', { policyVersion: 'v1', policyFiles: [] });
const reload = (to: string) => record('administration', { action: 'policy_reload', to, by: 'dana', files: [] });
const refused = (inForce: string) => record('administration', { action: 'policy_reload_refused', inForce });

const versions = async (...records: AuditRecord[]) => (await versionsIn(records)).map(({ version }) => version);

describe('versions of the policies, from the trail', () => {
  it('are those that were put in force', async () => {
    expect(await versions(START, reload('v2'), START, reload('v1'))).toEqual(['v1', 'v2', 'v1']);
    expect(await versions(START, refused('v1'), reload('v2'), refused('v2'))).toEqual(['v1', 'v2']);
  });

  it('one that was on the trail already when the store would not have it was never in force', async () => {
    expect(await versions(START, reload('v2'), refused('v1'))).toEqual(['v1']);
    expect(await versions(START, reload('v2'), refused('v1'), reload('v2'))).toEqual(['v1', 'v2']);
    expect(await versions(START, reload('v2'), reload('v3'), refused('v2'))).toEqual(['v1', 'v2']);
  });
});
