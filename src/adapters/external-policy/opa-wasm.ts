import { readFile } from 'node:fs/promises';
import { messageOf, RemitError } from '../../domain/errors.ts';
import type { ExternalPolicy } from '../../seams/external-policy.ts';
import { loadOpaModule } from './opa-module.ts';
import { readResult } from './opa-result.ts';
import { type Bundle, readBundle } from './read-bundle.ts';

/** A policy that OPA compiled to WebAssembly, evaluated in process. @throws `ERR_POLICY_INVALID`, also for a file that cannot be read */
export async function createOpaWasmPolicy(path: string, entrypoint: string): Promise<ExternalPolicy> {
  let bundle: Bundle;
  try {
    bundle = readBundle(await readFile(path));
  } catch (cause) {
    throw new RemitError('ERR_POLICY_INVALID', `the WebAssembly policy cannot be read: ${messageOf(cause)}`, {
      where: path,
      hint: `Build it with \`opa build -t wasm -e ${entrypoint}\`.`,
      cause,
    });
  }
  const module = await loadOpaModule(bundle.code, bundle.data, entrypoint, path);
  return {
    ask: async (questions) => questions.map((question) => readResult(module.evaluate(question))),
    close: () => Promise.resolve(),
  };
}
