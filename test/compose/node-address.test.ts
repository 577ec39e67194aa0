import { expect, it } from 'vitest';
import { assertAddressGiven, withNodeAddress } from '../../src/compose/nodes/node-address.ts';
import { parseConfig } from '../../src/config/load-config.ts';

const config = (node: string) => parseConfig(`version: 1\nnode: ${node}\n`, 'remit.yaml');
const environment = (value?: string) => ({
  environment: (name: string) => (name === 'REMIT_NODE_ADDRESS' ? value : undefined),
});
const BY_VARIABLE = '{ addressVariable: REMIT_NODE_ADDRESS, address: http://other:1 }';

it('a node’s address may be the environment’s, which wins', () => {
  const own = withNodeAddress(config(BY_VARIABLE), environment('http://remit-0.remit-nodes:7420'));
  expect(own.node.address).toBe('http://remit-0.remit-nodes:7420');
  expect(withNodeAddress(config('{ address: http://other:1 }'), environment('http://x')).node.address).toBe(
    'http://other:1',
  );
});

it('one that is no URL is refused, whatever is run', () => {
  for (const wrong of ['remit-0:7420', 'ftp://remit-0', 'no']) {
    expect(() => withNodeAddress(config(BY_VARIABLE), environment(wrong))).toThrow(/REMIT_NODE_ADDRESS holds no http/);
  }
});

it('D1 without the one that is named nothing is served: the others would be told another', () => {
  const { node } = config('{ addressVariable: REMIT_NODE_ADDRESS }');
  expect(() => assertAddressGiven({ node })).toThrow(/REMIT_NODE_ADDRESS .* is not set/);
  expect(() => assertAddressGiven(withNodeAddress({ ...config('{}'), node }, environment('http://x:1')))).not.toThrow();
  expect(() => assertAddressGiven(config('{}'))).not.toThrow();
});
