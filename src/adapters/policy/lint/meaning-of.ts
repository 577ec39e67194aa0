import type { LoadedPolicy } from '../load-policies.ts';

/** What a policy says, but for its name and other annotations. */
export function meaningOf({ policy: { json, stepUp } }: { readonly policy: LoadedPolicy }): string {
  const { effect, principal, action, resource, conditions } = json;
  return JSON.stringify([effect, principal, action, resource, conditions, stepUp && { ...stepUp, by: '' }]);
}
