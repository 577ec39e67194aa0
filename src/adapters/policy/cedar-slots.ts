import type { PolicyJson } from '@cedar-policy/cedar-wasm/nodejs';
import { RemitError } from '../../domain/errors.ts';
import type { CedarRuntime } from './cedar.ts';

/** Ids of parsed policy sets inside Cedar, which never unloads one: they are handed out again instead of made anew. */
const free: string[] = [];
let made = 0;

/**
 * Parses a policy set into a slot.
 * @throws `ERR_POLICY_INVALID` when Cedar refuses the set
 */
export function fillSlot(cedar: CedarRuntime, policies: Readonly<Record<string, PolicyJson>>): string {
  const slot = free.pop() ?? `remit-${made++}`;
  const answer = cedar.preparsePolicySet(slot, { staticPolicies: policies });
  if (answer.type === 'success') return slot;
  free.push(slot);
  throw new RemitError('ERR_POLICY_INVALID', `Cedar refused a slice of the policies: ${answer.errors[0]?.message}`, {
    hint: 'Please report this: every policy in it passed validation on its own.',
  });
}

/** Empties a slot, so that its memory is free and a stale use of it denies, and keeps it for the next engine. */
export function emptySlot(cedar: CedarRuntime, slot: string): void {
  cedar.preparsePolicySet(slot, { staticPolicies: {} });
  free.push(slot);
}
