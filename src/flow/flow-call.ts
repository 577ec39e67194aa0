import type { FlowProfile, SinkKind, ValueProvenance } from '../domain/flow.ts';
import type { JsonObject } from '../domain/json.ts';
import type { Provenance } from '../domain/step-up.ts';
import type { TemplateFlow } from '../domain/task.ts';
import type { GovernedTool, ToolProfile } from '../domain/tool.ts';
import type { Family } from './family.ts';
import type { MarkedValues } from './marked-values.ts';

/** One call as the rules of flow look at it, after policy has permitted it. */
export interface FlowCall {
  readonly item: GovernedTool;
  readonly profile: ToolProfile;
  readonly flow: FlowProfile;
  readonly args: JsonObject;
  /** Zone of the item's connector. */
  readonly zone: string;
  readonly template: TemplateFlow | undefined;
  readonly family: Family;
  /** Of each critical value that the call has. */
  readonly provenance: readonly ValueProvenance[];
  /** `sink` of the profile, as far as this call uses it: what names no destination reaches nobody. */
  readonly sink: SinkKind;
  readonly marked: MarkedValues;
}

export type FlowRuleId =
  | 'remit:not-asked'
  | 'remit:provenance'
  | 'remit:url'
  | 'remit:third-leg'
  | 'remit:zone'
  | 'remit:reach'
  | 'remit:flow';

/** Why a call waits for a person. */
export interface Hold {
  readonly rule: FlowRuleId;
  readonly reason: string;
  /** Where what it is about comes from, beside the critical values. */
  readonly from?: Provenance;
}

/** Undefined: this rule has nothing against the call. */
export type FlowRule = (call: FlowCall) => Hold | undefined;
