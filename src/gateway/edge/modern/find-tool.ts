import { type ConnectorId, type ToolRef, toolRef } from '../../../domain/ids.ts';
import type { GovernedTool } from '../../../domain/tool.ts';
import type { Gateway } from '../../gateway.ts';

const byRef = new WeakMap<readonly GovernedTool[], ReadonlyMap<ToolRef, GovernedTool>>();

/** The tool under the name that clients of this path see: the connector's own name on its own path, the prefixed one on the path of all. */
export function findTool(
  catalogue: Gateway['catalogue'],
  scope: ConnectorId | undefined,
  name: string,
): GovernedTool | undefined {
  if (scope === undefined) return catalogue.byExposedName(name);
  const all = catalogue.tools();
  let index = byRef.get(all);
  if (index === undefined) {
    index = new Map(all.map((tool) => [tool.ref, tool]));
    byRef.set(all, index);
  }
  return index.get(toolRef(scope, name));
}
