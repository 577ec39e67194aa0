import { createHash } from 'node:crypto';
import type { LoadedPolicies } from './load-policies.ts';
import { indexInventory } from './policy-inventory.ts';

/**
 * Version of all that decides: schema, policies, the attributes of agents and connectors that policies read, and what profiles say of flow.
 * The same inputs give the same version after a restart and on every node.
 */
export function versionOf({ schema, policies, inventory }: LoadedPolicies): string {
  const { agents, connectors, tools } = indexInventory(inventory);
  const content = JSON.stringify([
    schema,
    policies.map(({ id, text }) => [id, text]),
    [...agents.values()].map(({ id, owner, environment, zone }) => [id, owner, environment, zone]),
    [...connectors.values()].map(({ id, owner, environment, zone }) => [id, owner, environment, zone]),
    [...tools.values()].map(({ ref, profile: { actionClass, dataClasses, reversible, flow } }) => [
      ...[ref, actionClass, dataClasses, reversible],
      ...(flow === undefined ? [] : [flow]),
    ]),
  ]);
  return `sha256:${createHash('sha256').update(content).digest('hex')}`;
}
