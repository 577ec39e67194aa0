import type { PolicyJson } from '@cedar-policy/cedar-wasm/nodejs';
import type { AccessRequest, PolicyArguments } from '../../../domain/decision.ts';
import { NO_LABELS } from '../../../domain/flow.ts';
import { agentId, taskId, templateId, tenantId, traceId } from '../../../domain/ids.ts';
import { NO_RISK } from '../../../domain/risk.ts';
import type { ArgumentType } from '../../../domain/tool.ts';
import { createCedarEngine } from '../cedar-engine.ts';
import { type References, readReferences } from '../cedar-references.ts';
import { matchesTool, readPrincipalScope, scopeEntities } from '../cedar-scopes.ts';
import type { LoadedPolicy } from '../load-policies.ts';
import { indexInventory } from '../policy-inventory.ts';
import type { Applied, Asker, LintInput, LintModel, Point } from './lint-model.ts';
import { splitConditions } from './split-conditions.ts';

/** Enumerates all that is registered, and says where each policy can apply. */
export function buildModel(input: LintInput): LintModel {
  const { tools } = indexInventory(input.inventory);
  const askers = findAskers(input);
  const points = askers.flatMap((asker) =>
    [...tools.values()].flatMap((tool) => (['call', 'discover'] as const).map((action) => ({ asker, action, tool }))),
  );
  return { input, points, applied: input.policies.map((policy) => apply(policy, input, points)) };
}

function findAskers({ inventory, policies }: LintInput): Asker[] {
  const named = policies.flatMap(({ json, references }) => [...scopeEntities(json), ...references.literals]);
  const idsOf = (type: string): string[] => [
    ...new Set(named.filter((entity) => entity.type === `Remit::${type}`).map(({ id }) => id)),
  ];
  return [
    ...inventory.agents.map(({ id }) => ({ kind: 'agent' as const, id, groups: [] })),
    ...idsOf('User').map((id) => ({ kind: 'user' as const, id, groups: [] })),
    ...idsOf('Group').map((group) => ({ kind: 'user' as const, id: `somebody of ${group}`, groups: [group] })),
    { kind: 'user', id: 'somebody else', groups: [] },
  ];
}

function apply(policy: LoadedPolicy, input: LintInput, points: readonly Point[]): Applied {
  const conditions = splitConditions(policy.json.conditions).map((condition) => {
    const references = readReferences({ ...policy.json, conditions: [condition] });
    return { condition, references, text: JSON.stringify(condition) };
  });
  const openFor = (kind: Asker['kind']) =>
    new Set(conditions.filter(({ references }) => !isDecided(references, kind)).map(({ text }) => text));
  const scope = readPrincipalScope(policy.json);
  const at = new Uint8Array(points.length);
  for (const kind of ['agent', 'user'] as const) {
    const decided = conditions
      .filter(({ references }) => isDecided(references, kind))
      .map(({ condition }) => condition);
    const holds = decided.length === 0 ? undefined : askerOf(policy, decided, input);
    points.forEach((point, number) => {
      const { asker, action, tool } = point;
      if (asker.kind !== kind || !scope.kinds.has(kind)) return;
      if (scope.named !== undefined && scope.named !== asker.id) return;
      if (scope.group !== undefined && !asker.groups.includes(scope.group)) return;
      if (!matchesTool(policy.json, action, tool)) return;
      if (holds === undefined || holds.ask(point)) at[number] = 1;
    });
    holds?.release();
  }
  return { policy, at, open: { agent: openFor('agent'), user: openFor('user') } };
}

/** Whether a condition is the same for every call: it looks at what is registered only. Of users nothing but what a scope names is known. */
function isDecided({ context, variables }: References, kind: Asker['kind']): boolean {
  if (context.whole || [...context.fields.keys()].some((name) => name !== 'environment')) return false;
  return kind === 'agent' || !variables.has('principal');
}

/** Decides conditions by the engine itself, as a policy of their own. */
function askerOf(policy: LoadedPolicy, conditions: PolicyJson['conditions'], input: LintInput) {
  const any = { op: 'All' } as const;
  const json: PolicyJson = { effect: 'permit', principal: any, action: any, resource: any, conditions };
  const alone: LoadedPolicy = {
    ...policy,
    effect: 'permit',
    json,
    references: readReferences(json),
    stepUp: undefined,
  };
  const engine = createCedarEngine({ ...input, policies: [alone], reuse: false });
  return {
    ask: (point: Point) => engine.evaluate(requestOf(point, input.environment)).verdict === 'permit',
    release: () => engine.release(),
  };
}

function requestOf({ asker, action, tool }: Point, environment: string): AccessRequest {
  const agent = agentId(asker.kind === 'agent' ? asker.id : '');
  const task = taskId('');
  const tenant = tenantId('');
  return {
    subject: asker,
    action,
    resource: { connector: tool.connector, tool: tool.ref, profile: tool.profile },
    context: {
      principal: { tenant, user: undefined, agent, actors: [], workload: '', task, tokenId: '', tokenExpiresAt: 0 },
      task: {
        ...{ id: task, tenant, agent, user: undefined, template: templateId(''), purpose: '', parent: undefined },
        ...{ bounds: { actionClasses: [], tools: [], resources: [], calls: 0 }, trace: traceId('') },
        ...{ state: 'active', endReason: undefined, startedAt: 0, expiresAt: 0, endedAt: undefined },
      },
      environment,
      arguments: action === 'call' ? exampleArguments(tool.profile.criticalArguments) : {},
      labelsOf: () => NO_LABELS,
      provenance: {},
      risk: NO_RISK,
    },
  };
}

const EXAMPLES: Readonly<Record<ArgumentType, PolicyArguments[string]>> = {
  string: '',
  path: '/',
  long: 0,
  boolean: false,
  'string[]': [],
};

/** Arguments as a call must have them; no condition that is decided here looks at one. */
function exampleArguments(
  described: readonly { readonly name: string; readonly type: ArgumentType }[],
): PolicyArguments {
  return Object.fromEntries(described.map(({ name, type }) => [name, EXAMPLES[type]]));
}
