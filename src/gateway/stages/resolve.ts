import { RPC } from '../../domain/era.ts';
import type { ToolRef } from '../../domain/ids.ts';
import type { GovernedTool } from '../../domain/tool.ts';
import { checkUri } from '../../domain/uri-pattern.ts';
import type { ErrorReply } from '../../seams/upstream.ts';
import type { ClientRequest, MethodAnswer } from '../client-request.ts';
import type { Gateway } from '../gateway.ts';
import type { Caller } from './authenticate.ts';
import { recordDenial } from './record-intent.ts';

/** Why no item was found: answered as malformed input, and recorded as a denial. */
export interface Unresolved {
  readonly rule:
    | 'remit:unknown-tool'
    | 'remit:unknown-prompt'
    | 'remit:unknown-resource'
    | 'remit:ambiguous'
    | 'remit:uri';
  readonly error: ErrorReply['error'];
}

export const isUnresolved = (value: GovernedTool | Unresolved): value is Unresolved => 'rule' in value;

/** The tool or prompt behind the name that clients of the request's path see. */
export function resolveNamed(
  { catalogue }: Gateway,
  kind: 'tool' | 'prompt',
  name: string,
  { scope }: Pick<ClientRequest, 'scope'>,
): GovernedTool | Unresolved {
  const item =
    scope === undefined && kind === 'tool' ? catalogue.byExposedName(name) : catalogue.find(kind, name, scope);
  if (item !== undefined) return item;
  const message = `Unknown ${kind}: ${name.slice(0, 80)}. Ask ${kind}s/list for the names.`;
  return { rule: `remit:unknown-${kind}`, error: { code: RPC.invalidParams, message } };
}

/** The described resource that a URI belongs to. A URI that no owner has described is as unknown as one that does not exist. */
export function resolveUri(
  { catalogue }: Gateway,
  uri: string,
  { era, scope }: Pick<ClientRequest, 'era' | 'scope'>,
): GovernedTool | Unresolved {
  const problem = checkUri(uri);
  if (problem !== undefined) {
    const message = `Resource URI refused: ${problem}`;
    return { rule: 'remit:uri', error: { code: RPC.invalidParams, message, data: { uri: uri.slice(0, 2_048) } } };
  }
  const found = catalogue.routeUri(uri, scope);
  if (found === undefined) {
    const code = era === 'modern' ? RPC.invalidParams : RPC.resourceNotFound;
    return { rule: 'remit:unknown-resource', error: { code, message: 'Resource not found', data: { uri } } };
  }
  if (!('ambiguous' in found)) return found;
  const paths = found.ambiguous.map((connector) => `/mcp/${connector}`).join(' or ');
  const message = `Several connectors have this URI: use the path of the one you mean, ${paths}`;
  return { rule: 'remit:ambiguous', error: { code: RPC.invalidParams, message, data: { uri } } };
}

const indexes = new WeakMap<readonly GovernedTool[], ReadonlyMap<ToolRef, GovernedTool>>();

/** The item that a ref of ours names, as it is now. */
export function resolveRef({ catalogue }: Gateway, ref: ToolRef): GovernedTool | undefined {
  for (const items of [catalogue.tools(), catalogue.prompts(), catalogue.resources()]) {
    let index = indexes.get(items);
    if (index === undefined) {
      index = new Map(items.map((item) => [item.ref, item]));
      indexes.set(items, index);
    }
    const found = index.get(ref);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Probing for names leaves a trace. */
export async function refuseUnresolved(
  gateway: Gateway,
  caller: Caller,
  method: string,
  { rule, error }: Unresolved,
): Promise<MethodAnswer> {
  await recordDenial(gateway, caller, { span: gateway.newSpan(), method, rule, reason: error.message });
  return { reply: { error } };
}
