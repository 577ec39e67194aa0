import './v8-wasm-calls.ts';

import { createRequire } from 'node:module';

import {
  checkParseSchema,
  policySetTextToParts,
  policyToJson,
  policyToText,
  preparsePolicySet,
  statefulIsAuthorized,
  validate,
} from '@cedar-policy/cedar-wasm/nodejs';

/** The Cedar calls that we use. The only file that loads the package: the V8 flag above must be set before it. */
export const cedar = {
  checkParseSchema,
  policySetTextToParts,
  policyToJson,
  policyToText,
  preparsePolicySet,
  statefulIsAuthorized,
  validate,
};

/** What evaluation needs of Cedar; tests put a failing one in its place. */
export type CedarRuntime = Pick<typeof cedar, 'preparsePolicySet' | 'statefulIsAuthorized'>;

/**
 * Cedar once more, in a WebAssembly instance of its own: what fails in it, or takes all its memory, leaves the first one as it is. The package
 * makes one instance when it is loaded, so it is loaded again.
 */
export function freshCedar(): CedarRuntime {
  const require = createRequire(import.meta.url);
  const path = require.resolve('@cedar-policy/cedar-wasm/nodejs');
  const first = require.cache[path];
  delete require.cache[path];
  try {
    return require(path) as CedarRuntime;
  } finally {
    if (first === undefined) delete require.cache[path];
    else require.cache[path] = first;
  }
}
