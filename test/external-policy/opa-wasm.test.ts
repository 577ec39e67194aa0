import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, expect, test } from 'vitest';
import { createOpaWasmPolicy } from '../../src/adapters/external-policy/opa-wasm.ts';
import type { ExternalQuestion } from '../../src/seams/external-policy.ts';
import { type FakeModuleOptions, fakeOpaBundle, fakeOpaModule, packTar } from '../support/fake-opa-module.ts';

const folder = mkdtempSync(join(tmpdir(), 'remit-opa-'));
afterAll(() => rmSync(folder, { recursive: true }));

const question = (id: string): ExternalQuestion => ({
  subject: { type: 'agent', id, properties: {} },
  action: { name: 'call', properties: {} },
  resource: { type: 'tool', id: 'shop/pay', properties: {} },
  context: {},
});
const signal = new AbortController().signal;

let count = 0;
function write(bytes: Uint8Array): string {
  const path = join(folder, `policy-${count++}.bin`);
  writeFileSync(path, bytes);
  return path;
}
const open = (entrypoint = 'fake/allow', options: FakeModuleOptions = {}) =>
  createOpaWasmPolicy(write(fakeOpaModule(options)), entrypoint);

test('a compiled policy answers each question, in order, and again', async () => {
  const policy = await open('fake/allow', { forbidden: '"mallory"' });
  const asked = ['helper', 'mallory', 'a'.repeat(5_000)].map(question);
  for (let time = 0; time < 3; time++) {
    expect(await policy.ask(asked, signal)).toEqual([
      { isPermitted: true, reason: undefined, stepUp: undefined },
      { isPermitted: false, reason: 'Found.', stepUp: undefined },
      { isPermitted: true, reason: undefined, stepUp: undefined },
    ]);
  }
});

test('a bundle is unpacked: its module and its data', async () => {
  const bundle = fakeOpaBundle();
  const policy = await createOpaWasmPolicy(write(gzipSync(bundle)), 'fake/allow');
  expect((await policy.ask([question('helper')], signal))[0]?.isPermitted).toBe(true);
});

test.each([
  ['fake/trap', /unreachable/],
  ['fake/nonsense', /JSON/],
  ['fake/undefined', /no value/],
  ['fake/abort', /gave up/],
  ['fake/fail', /failed/],
])('D1 D6 what %s does is no answer', async (entrypoint, why) => {
  const policy = await open(entrypoint);
  await expect(policy.ask([question('helper')], signal)).rejects.toThrow(why);
  await expect(policy.ask([question('helper')], signal)).rejects.toThrow(why);
});

test('D1 an input that its memory cannot take is no answer, and the next question meets a module that is whole', async () => {
  const policy = await open();
  await expect(policy.ask([question('x'.repeat(1_000_000))], signal)).rejects.toThrow();
  expect((await policy.ask([question('helper')], signal))[0]?.isPermitted).toBe(true);
});

test.each<[string, FakeModuleOptions, RegExp]>([
  ['another version of the ABI', { abi: 2 }, /ABI version is 2/],
  ['functions of its host', { builtins: '{"http.send":1}' }, /http\.send/],
  ['no such export', { exported: (name) => name !== 'eval' }, /eval is missing/],
  ['no version', { exported: (name) => name !== 'opa_wasm_abi_version' }, /opa_wasm_abi_version is missing/],
])('D1 a module with %s is refused before anything is served', async (_, options, why) => {
  await expect(open('fake/allow', options)).rejects.toMatchObject({
    code: 'ERR_POLICY_INVALID',
    message: expect.stringMatching(why),
  });
});

test('D1 an entrypoint that it has not, a file that is none, a bundle cut off or without module: refused', async () => {
  await expect(open('fake/other')).rejects.toThrow(/no entrypoint fake\/other, but fake\/allow/);
  await expect(createOpaWasmPolicy(join(folder, 'none'), 'fake/allow')).rejects.toMatchObject({
    code: 'ERR_POLICY_INVALID',
  });
  const cut = packTar({ '/policy.wasm': fakeOpaModule() }).subarray(0, 800);
  for (const bytes of [Buffer.from('text'), gzipSync(cut), gzipSync(packTar({ '/data.json': '{}' }))]) {
    await expect(createOpaWasmPolicy(write(bytes), 'fake/allow')).rejects.toMatchObject({ code: 'ERR_POLICY_INVALID' });
  }
});
