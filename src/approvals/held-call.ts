import { createHmac } from 'node:crypto';
import type { Decision } from '../domain/decision.ts';
import { canonicalJson, type JsonObject } from '../domain/json.ts';
import { type Principal, userKey } from '../domain/principal.ts';
import type { StepUp } from '../domain/step-up.ts';
import type { Task } from '../domain/task.ts';
import type { GovernedTool } from '../domain/tool.ts';

/** A call that a decision holds, whole: what a verdict on it is about. */
export interface HeldCall {
  readonly principal: Principal;
  readonly task: Task;
  readonly span: string;
  readonly method: string;
  readonly item: GovernedTool;
  readonly args: JsonObject;
  /** The same as JSON text. */
  readonly argumentsText: string;
  readonly decision: Decision & { readonly stepUp: StepUp };
}

export interface Binding {
  readonly callKey: string;
  readonly toolKey: string;
}

/**
 * What binds an approval to its call (guarantee D5): caller, task, method, item and its definition, arguments, policies and the hold itself.
 * Keyed, as a digest of few possible arguments would tell them.
 * @param key 32 bytes, the same on every node of the store
 */
export function bindCall(key: Buffer, { principal, task, method, item, args, decision }: HeldCall): Binding {
  const { terms, labels, provenance } = decision.stepUp;
  const tool = [
    principal.tenant,
    principal.user === undefined ? null : userKey(principal.user),
    principal.agent,
    principal.actors,
    principal.workload,
    task.id,
    method,
    item.ref,
    item.definition.fingerprint,
    decision.policyVersion,
    terms,
    labels,
  ];
  const digest = (what: string, value: unknown): string =>
    createHmac('sha256', key)
      .update(`remit/approval/1 ${what} ${canonicalJson(value)}`)
      .digest('base64url');
  return { callKey: digest('call', [tool, args, provenance]), toolKey: digest('item', tool) };
}
