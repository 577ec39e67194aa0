import { preparsePolicySet, preparseSchema, statefulIsAuthorized } from '@cedar-policy/cedar-wasm/nodejs';
import type { LoadedPolicies } from '../../src/adapters/policy/load-policies.ts';
import type { AccessRequest } from '../../src/domain/decision.ts';

const NAME = 'oracle';

/** Puts all policies, as text, and the whole schema before Cedar. */
export function prepareWholeCedar({ schema, policies }: LoadedPolicies): void {
  const staticPolicies = Object.fromEntries(policies.map((policy) => [policy.id, policy.text]));
  const answers = [preparseSchema(NAME, schema), preparsePolicySet(NAME, { staticPolicies })];
  for (const answer of answers) if (answer.type === 'failure') throw new Error(JSON.stringify(answer.errors));
}

/**
 * Cedar asked in the plainest way, of all that was prepared: every entity, the whole context, and the request validated.
 * Shares no code with the engine beyond what was loaded.
 */
export function askWholeCedar(
  { inventory }: LoadedPolicies,
  { subject, action, resource, context }: AccessRequest,
): { verdict: 'permit' | 'deny'; policies: string[]; hasError: boolean } {
  const uid = (type: string, id: string) => ({ type: `Remit::${type}`, id });
  const attributes = (it: { owner: string; environment: string; zone: string }) => ({
    owner: it.owner,
    environment: it.environment,
    zone: it.zone,
  });
  const { principal, task, environment } = context;
  const labels = context.labelsOf(task);
  const entities = [
    ...inventory.agents.map((agent) => ({ uid: uid('Agent', agent.id), attrs: attributes(agent), parents: [] })),
    ...inventory.connectors.flatMap((connector) => [
      { uid: uid('Connector', connector.id), attrs: attributes(connector), parents: [] },
      ...connector.tools.map(({ name, profile }) => ({
        uid: uid('Tool', `${connector.id}/${name}`),
        attrs: {
          connector: { __entity: uid('Connector', connector.id) },
          actionClass: profile.actionClass,
          dataClasses: [...profile.dataClasses],
          reversible: profile.reversible,
          sink: profile.flow?.sink ?? 'none',
        },
        parents: [uid('Connector', connector.id)],
      })),
    ]),
    ...(subject.kind === 'user'
      ? [{ uid: uid('User', subject.id), attrs: {}, parents: subject.groups.map((group) => uid('Group', group)) }]
      : []),
  ];
  const { id, template, purpose, startedAt, expiresAt } = task;
  const answer = statefulIsAuthorized({
    principal: uid(subject.kind === 'user' ? 'User' : 'Agent', subject.id),
    action: uid('Action', action === 'discover' ? 'discover' : resource.tool),
    resource: uid('Tool', resource.tool),
    context: {
      task: { id, template, purpose, startedAt, expiresAt },
      environment,
      ...(principal.user && { user: { issuer: principal.user.issuer, subject: principal.user.subject } }),
      ...(action === 'call' && {
        args: context.arguments as Record<string, string>,
        labels: { trust: labels.trust, dataClasses: [...labels.dataClasses], zones: [...labels.zones] },
        provenance: { ...context.provenance },
        risk: { ...context.risk },
      }),
    },
    entities,
    preparsedSchemaName: NAME,
    validateRequest: true,
    preparsedPolicySetId: NAME,
  });
  if (answer.type !== 'success') throw new Error(JSON.stringify(answer.errors));
  const { decision, diagnostics } = answer.response;
  const hasError = diagnostics.errors.length > 0;
  return {
    verdict: decision === 'allow' && !hasError ? 'permit' : 'deny',
    policies: [...diagnostics.reason].sort(),
    hasError,
  };
}
