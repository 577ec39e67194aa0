import './v8-wasm-calls.ts';

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
