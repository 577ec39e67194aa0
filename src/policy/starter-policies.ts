import type { Strictness } from '../domain/strictness.ts';
import { EXAMPLES } from './starters/examples.ts';
import { internal } from './starters/internal.ts';
import type { Starter } from './starters/parts.ts';
import { production } from './starters/production.ts';
import { regulated } from './starters/regulated.ts';
import { sandbox } from './starters/sandbox.ts';

/** A file of starter policies, by its path in the policies folder. */
export interface StarterPolicy {
  readonly path: string;
  readonly text: string;
}

const STARTERS: Readonly<Record<Strictness, Starter>> = { sandbox, internal, production, regulated };

const CASES = `# yaml-language-server: $schema=../cases.schema.json
# What the policies beside this file must say. "remit policy test" runs it; a reload and a start do, too.
defaults: { agent: my-agent, template: read-files }
cases:
  - name: the agent lists the tools of its task
    tool: files/list_directory
    action: discover
    expect: permit
    policies: [agents-discover]
  - name: the agent reads
    tool: files/list_directory
    arguments: { path: /workspace }
    expect: permit
    gate: agent_policy
  - name: a path has one spelling
    tool: files/list_directory
    arguments: { path: /workspace/../etc }
    expect: deny
    gate: arguments
`;

/** The commented policies that `remit init` writes for a strictness, with examples and the cases that try them on the estate that it writes. */
export function starterPolicies(strictness: Strictness): StarterPolicy[] {
  const { agents, users, holds, userCases } = STARTERS[strictness];
  return [
    { path: 'agents.cedar', text: agents },
    { path: 'users.cedar', text: users },
    { path: 'holds.cedar', text: holds },
    { path: 'forbids.cedar', text: EXAMPLES },
    { path: 'starter.cases.yaml', text: CASES + userCases },
  ];
}
