import { type Refused, refuse } from '../../domain/refusal.ts';
import type { GovernedTool } from '../../domain/tool.ts';
import type { Gateway } from '../gateway.ts';

/** A `tools/call` as the edge parsed it. */
export interface ToolCall {
  /** The name that the client used. */
  readonly exposedName: string;
  readonly arguments: Readonly<Record<string, unknown>>;
  /** W3C span id of this call: joins its records. */
  readonly span: string;
  /** The client's own id for the call, if it sends one; for the record only. */
  readonly clientCallId: string | undefined;
}

/** Finds the governed tool behind the name. An unknown name is malformed input, not a denial: there is nothing to decide on. */
export function resolve(gateway: Gateway, call: ToolCall): GovernedTool | Refused {
  const tool = gateway.catalogue.byExposedName(call.exposedName);
  if (tool !== undefined) return tool;
  return refuse({
    kind: 'malformed',
    rpcCode: -32602,
    reason: `Unknown tool: ${call.exposedName.slice(0, 80)}. Ask tools/list for the names.`,
  });
}
