import type { DecisionFlow, FlowLabels, Origin } from './flow.ts';
import type { ApprovalId, ConnectorId, ToolRef } from './ids.ts';
import type { Principal } from './principal.ts';
import type { CallRisk } from './risk.ts';
import type { StepUp } from './step-up.ts';
import type { Task } from './task.ts';
import type { ToolProfile } from './tool.ts';

/** Values of critical arguments, typed as their profile says; what a policy may read of a call. */
export type PolicyArguments = Readonly<Record<string, string | number | boolean | readonly string[]>>;

/**
 * Access request after AuthZEN 1.0: subject, action, resource, context. One is evaluated for every link of the chain
 * user → agent → actors, and all must permit (guarantee D3).
 */
export interface AccessRequest {
  /** The link whose right is asked for. */
  readonly subject: { readonly kind: 'user' | 'agent'; readonly id: string; readonly groups: readonly string[] };
  /** `discover` for a listing, `call` for a call. */
  readonly action: 'discover' | 'call';
  /** The item: `tool` is its ref, also of a resource or a prompt. */
  readonly resource: { readonly connector: ConnectorId; readonly tool: ToolRef; readonly profile: ToolProfile };
  readonly context: {
    readonly principal: Principal;
    readonly task: Task;
    readonly environment: string;
    /** Empty for `discover`. */
    readonly arguments: PolicyArguments;
    /** What a task and its children have read: asked for where a policy of the call looks at it. */
    readonly labelsOf: (task: Task) => FlowLabels;
    /** The least good origin of each critical argument that the call has. */
    readonly provenance: Readonly<Record<string, Origin>>;
    /** Levels of whom the call concerns. */
    readonly risk: CallRisk;
  };
}

/** Which gate of the intersection decided. */
export type Gate =
  | 'authentication'
  | 'profile'
  | 'task'
  | 'budget'
  | 'arguments'
  | 'user_policy'
  | 'agent_policy'
  | 'actor_policy'
  | 'external_policy'
  | 'flow'
  | 'risk'
  | 'fault';

export interface Decision {
  readonly verdict: 'permit' | 'deny' | 'step_up';
  readonly gate: Gate;
  /** Ids of the determining policies; for a gate outside policy, its own rule id such as `remit:task-tool`. */
  readonly policies: readonly string[];
  readonly reason: string;
  /** What the caller can do next. */
  readonly nextStep: string;
  /** Hash of policies + schema that decided. */
  readonly policyVersion: string;
  /** Of a `step_up`, always: what it takes to lift the hold. One without is a denial. */
  readonly stepUp?: StepUp;
  /** What a policy says against it, where policies are only observed: it is let through all the same. */
  readonly wouldDeny?: { readonly gate: Gate; readonly policies: readonly string[]; readonly reason: string };
  /** Of a `permit` that lifted a hold: by which approval. */
  readonly approval?: ApprovalId;
  /** Labels and provenance, where the item has a profile of flow. */
  readonly flow?: DecisionFlow;
  /** Where one of them is not the lowest. */
  readonly risk?: CallRisk;
}
