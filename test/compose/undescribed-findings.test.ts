import { expect, it } from 'vitest';
import { undescribedFindings } from '../../src/compose/connectors/undescribed-findings.ts';
import type { Workspace } from '../../src/compose/workspace.ts';
import { connectorId, tenantId } from '../../src/domain/ids.ts';

const NOW = 1_800_000_000_000;
const DAY_MS = 86_400_000;

function workspaceWith(rows: readonly (readonly [ref: string, status: string, days: number])[]): Workspace {
  const tools = rows.map(([ref, status, days]) => ({
    connector: ref.split('/')[0],
    name: ref.split('/')[1],
    status,
    definition: {},
    firstSeenAt: NOW - days * DAY_MS,
  }));
  return {
    store: { inventory: { tools: async () => tools, pins: async () => [] } },
    estate: {
      tenant: tenantId('default'),
      connectors: new Map(['crm', 'shop'].map((id) => [connectorId(id), { owner: `${id}@example.com` }])),
    },
    system: { clock: () => NOW },
  } as unknown as Workspace;
}

it('M1 what nobody has described is a finding of its connector’s owner, graver after a week', async () => {
  const found = await undescribedFindings(
    workspaceWith([
      ['crm/old', 'undescribed', 12],
      ['crm/young', 'undescribed', 2],
      ['crm/done', 'described', 12],
      ['crm/changed', 'quarantined', 12],
      ['shop/new', 'undescribed', 3],
    ]),
  );
  expect(found).toEqual([
    {
      severity: 'medium',
      kind: 'undescribed',
      refs: ['crm/old', 'crm/young'],
      text: '2 items have not been described, the oldest for 12 days: they are not callable',
      next: 'Describe what is needed: remit tool describe crm/old',
      owner: 'crm@example.com',
    },
    expect.objectContaining({ severity: 'low', refs: ['shop/new'], owner: 'shop@example.com' }),
  ]);
});

it('is none on the first day, nor of a connector that is configured no more; of many a few are named', async () => {
  expect(
    await undescribedFindings(
      workspaceWith([
        ['crm/fresh', 'undescribed', 0],
        ['gone/x', 'undescribed', 9],
      ]),
    ),
  ).toEqual([]);
  const many = Array.from({ length: 9 }, (_, at) => [`crm/t${at}`, 'undescribed', 1 + at] as const);
  const [only] = await undescribedFindings(workspaceWith(many));
  expect(only?.refs).toEqual(['crm/t8', 'crm/t7', 'crm/t6', 'crm/t5', 'crm/t4', 'and 4 more']);
});
