import { RemitError } from '../../domain/errors.ts';
import { TRUSTS } from '../../domain/flow.ts';
import { RISK_LEVELS, RISK_SUBJECTS } from '../../domain/risk.ts';
import { ACTION_CLASSES, type ArgumentType, type ToolProfile } from '../../domain/tool.ts';
import { CALL, cedarString, DISCOVER, isReservedName, NAMESPACE } from './cedar-names.ts';
import { indexInventory, type PolicyInventory, type PolicyTool } from './policy-inventory.ts';

const CEDAR_TYPES: Readonly<Record<ArgumentType, string>> = {
  string: 'String',
  long: 'Long',
  boolean: 'Bool',
  path: 'String',
  'string[]': 'Set<String>',
};

const ENTITIES = `  // A group of users, named issuer#group: groups of two identity providers never mix.
  entity Group;

  // The human on whose behalf an agent acts, named issuer#subject.
  entity User in [Group];

  // A registered agent.
  entity Agent = { owner: String, environment: String, zone: String };

  // A registered MCP server. What its owner has described of it: a tool, named connector/tool, a resource, named
  // connector/resource:pattern, or a prompt, named connector/prompt:name.
  entity Connector = { owner: String, environment: String, zone: String };
  entity Tool in [Connector] = {
    connector: Connector,
    actionClass: String,
    dataClasses: Set<String>,
    reversible: Bool,
    sink: String
  };

  // Times are milliseconds since the epoch. A task says what was declared, never what time it is now.
  type Task = { id: String, template: String, purpose: String, startedAt: Long, expiresAt: Long };

  // Present when the agent acts for a user.
  type Caller = { issuer: String, subject: String };

  // What the task and its children have read before this call. trust: ${TRUSTS.map(cedarString).join(', ')}.
  type Labels = { trust: String, dataClasses: Set<String>, zones: Set<String> };

  // How those whom the call concerns have behaved lately: ${RISK_LEVELS.map(cedarString).join(', ')}. A user's is low where there is none.
  type Risk = { ${RISK_SUBJECTS.map((kind) => `${kind}: String`).join(', ')} };`;

/**
 * Cedar schema of an estate, as people read it: what policies are validated against. The same inventory gives the same
 * text. Every name from outside stands in an escaped string literal.
 * @throws `ERR_POLICY_INVALID` for a name that Cedar cannot hold, or one that is used twice
 */
export function buildSchema(inventory: PolicyInventory): string {
  const tools = [...indexInventory(inventory).tools.values()];
  return `// Written by Remit from the configuration: what policies may speak of. Do not edit, it is written anew.
//
//   ${NAMESPACE}::Action::"${DISCOVER}"        a tool, a resource or a prompt is listed
//   ${NAMESPACE}::Action::"${CALL}"            any call; one group for each action class is in it
//   ${NAMESPACE}::Action::"connector/tool"  a call of that one tool; its arguments are in context.args
//   ${NAMESPACE}::Action::"connector/resource:pattern", "connector/prompt:name"
//                                   a resource is read or subscribed to (context.args.uri), a prompt is got

namespace ${NAMESPACE} {
${ENTITIES}

  // Listing is a decision of its own: it neither implies a call nor follows from one.
  action ${cedarString(DISCOVER)} appliesTo {
    principal: [User, Agent],
    resource: [Tool],
    context: { task: Task, user?: Caller, environment: String }
  };

  action ${cedarString(CALL)};

  // Action classes. A policy names one with "in"; it must hold for tools with any arguments, also for ones that are
  // described later.
${ACTION_CLASSES.map((name) => callAction(name, CALL, '{}', '{}')).join('\n')}
${tools.map(toolAction).join('')}}
`;
}

function toolAction({ ref, profile }: PolicyTool): string {
  const facts = [
    profile.actionClass,
    profile.reversible ? 'reversible' : 'not reversible',
    ...profile.dataClasses.map(cedarString),
  ];
  return `
  // ${facts.join(', ')}
${callAction(ref, profile.actionClass, argumentsRecord(ref, profile), provenanceRecord(ref, profile))}
`;
}

function callAction(name: string, group: string, args: string, provenance: string): string {
  return `  action ${cedarString(name)} in [${cedarString(group)}] appliesTo {
    principal: [User, Agent],
    resource: [Tool],
    context: { task: Task, user?: Caller, environment: String, labels: Labels, args: ${args}, provenance: ${provenance}, risk: Risk }
  };`;
}

/** Where critical values come from: an `Origin`, for whichever of them the call has. */
function provenanceRecord(ref: string, { flow }: ToolProfile): string {
  const fields = (flow?.critical ?? []).map(({ name }) => {
    if (isReservedName(name)) {
      throw new RemitError(
        'ERR_POLICY_INVALID',
        `critical argument ${JSON.stringify(name)} of ${ref} has a name that Cedar reserves`,
        {
          hint: 'A tool with such an argument cannot be described: leave it undescribed.',
        },
      );
    }
    return `${cedarString(name)}?: String`;
  });
  return fields.length === 0 ? '{}' : `{ ${fields.join(', ')} }`;
}

function argumentsRecord(ref: string, profile: ToolProfile): string {
  const seen = new Set<string>();
  const fields = profile.criticalArguments.map(({ name, type, required }) => {
    if (isReservedName(name) || seen.has(name)) {
      const problem = seen.has(name) ? 'is described twice' : 'has a name that Cedar reserves';
      throw new RemitError('ERR_POLICY_INVALID', `argument ${JSON.stringify(name)} of ${ref} ${problem}`, {
        hint: 'Describe it once, or leave it out of the profile: policies cannot read it.',
      });
    }
    seen.add(name);
    return `\n      ${cedarString(name)}${required ? '' : '?'}: ${CEDAR_TYPES[type]}`;
  });
  return fields.length === 0 ? '{}' : `{${fields.join(',')}\n    }`;
}
