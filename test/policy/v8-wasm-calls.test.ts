import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';

const order = vi.hoisted(() => [] as string[]);

vi.mock('node:v8', () => ({ setFlagsFromString: (flag: string) => order.push(flag) }));
vi.mock('@cedar-policy/cedar-wasm/nodejs', async (original) => {
  order.push('cedar');
  return original();
});

test('the V8 flags that keep Node 20 from aborting and memory small are set before Cedar loads', async () => {
  await import('../../src/adapters/policy/cedar.ts');
  const flags = process.versions.node.startsWith('20.') ? ['--no-turbo-inline-js-wasm-calls'] : [];
  expect(order).toEqual([...flags, '--wasm-tiering-budget=2000000000', 'cedar']);
});

test('nothing else in the product loads Cedar', () => {
  const root = join(import.meta.dirname, '../../src');
  const loading = readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .filter((file) =>
      /^import (?!type )[^;]*@cedar-policy|import\(['"]@cedar-policy/m.test(readFileSync(join(root, file), 'utf8')),
    );
  expect(loading).toEqual([join('adapters', 'policy', 'cedar.ts')]);
});
