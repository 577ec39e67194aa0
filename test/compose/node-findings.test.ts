import { expect, it } from 'vitest';
import { nodeFindings, stateOf } from '../../src/compose/nodes/node-findings.ts';
import { tenantId } from '../../src/domain/ids.ts';
import type { SeenNode } from '../../src/domain/node.ts';

const HOUR = 3_600_000;

const node = (name: string, more: Partial<SeenNode> = {}): SeenNode => ({
  tenant: tenantId('acme'),
  name,
  life: 1,
  address: `http://${name}.example:7420`,
  version: '1.0.0',
  policyVersion: 'p1',
  connections: 11,
  joinedAt: 0,
  expiresAt: 0,
  joinedMs: 2 * HOUR,
  policyMs: 2 * HOUR,
  leftMs: 3_900,
  ...more,
});
const kinds = (...nodes: SeenNode[]): string[] => nodeFindings(nodes).map(({ kind }) => kind);

it('nodes that are the same are nothing to look at', () => {
  expect(kinds(node('a'), node('b'), node('c'))).toEqual([]);
});

it('D1 different policies are found once the change should be everywhere', () => {
  expect(kinds(node('a'), node('b', { policyVersion: 'p2', policyMs: 59_000 }))).toEqual([]);
  const [finding] = nodeFindings([node('a'), node('b', { policyVersion: 'p2', policyMs: 60_000 })]);
  expect(finding).toMatchObject({
    severity: 'high',
    kind: 'node_policies',
    refs: ['node a', 'node b'],
    text: 'nodes decide by different policies: p1 at a; p2 at b',
  });
});

it('different versions are found once an upgrade should be over', () => {
  const old = node('a', { version: '0.9.0' });
  expect(kinds(old, node('b', { joinedMs: HOUR - 1 }))).toEqual([]);
  expect(kinds(old, node('b', { joinedMs: HOUR }))).toEqual(['node_versions']);
});

it('an address by which the others cannot reach a node is found', () => {
  const local = (name: string, port: number) => node(name, { address: `http://127.0.0.1:${port}` });
  expect(kinds(local('a', 1), local('b', 2))).toEqual([]);
  expect(kinds(local('a', 1), node('b'))).toEqual(['node_address']);
  expect(kinds(node('a', { address: 'http://[::1]:1' }), node('b'))).toEqual(['node_address']);
  expect(kinds(local('a', 1), local('b', 1))).toEqual(['node_address']);
  expect(kinds(node('a', { address: 'http://0.0.0.0:7420' }))).toEqual(['node_address']);
  expect(kinds(node('a', { address: 'http://[::]:7420' }))).toEqual(['node_address']);
});

it('one that is starting has no address yet', () => {
  expect(kinds(node('a', { address: '' }), node('b', { address: '' }), node('c'))).toEqual([]);
});

it('a node is late after some beats, and lost when its time is over', () => {
  expect([3_900, 2_500, 2_499, 1, 0, -5_000].map((leftMs) => stateOf({ leftMs }))).toEqual([
    'here',
    'here',
    'late',
    'late',
    'lost',
    'lost',
  ]);
});
