/** What one strictness is made of; texts of Cedar and YAML. */
export interface Starter {
  readonly agents: string;
  readonly users: string;
  readonly holds: string;
  /** Cases about users: those about agents are the same in each. */
  readonly userCases: string;
}

export const HEAD = `// What agents may do. Everything that no policy permits is denied: deleting a policy here takes a right away.
//
// A call needs more than a permit here. The tool must be described by its owner, the task must include it, and where the
// agent acts for a user, a separate policy must permit the user too: a permit for an agent never covers its user,
// and a permit for a user never covers the agent (see users.cedar). What waits for a person stands in holds.cedar.
//
// schema.cedarschema in this folder lists what a policy may speak of; "remit policy test" runs starter.cases.yaml.

@id("agents-discover")
@reason("Agents may list the tools of their task.")
permit (
  principal is Remit::Agent,
  action == Remit::Action::"discover",
  resource
);

@id("agents-read")
@reason("Agents may read within their task.")
permit (
  principal is Remit::Agent,
  action in Remit::Action::"read",
  resource
);
`;

export const AGENTS_WORK = `
@id("agents-work")
@reason("Agents may change things within their task.")
permit (
  principal is Remit::Agent,
  action in [Remit::Action::"write", Remit::Action::"ticket", Remit::Action::"code"],
  resource
);
`;

/** Permitted, because holds.cedar holds all of it. */
export const AGENTS_HELD = `
@id("agents-outward")
@reason("Money, exports, rights and secrets: within their task, once a person agrees (holds.cedar).")
permit (
  principal is Remit::Agent,
  action in [
    Remit::Action::"financial",
    Remit::Action::"export",
    Remit::Action::"privilege",
    Remit::Action::"secret"
  ],
  resource
);
`;

export const ONE_AGENT = `
// One agent, one tool:
//
// @id("orders-bot-query")
// @reason("The orders bot may query the shop database.")
// permit (
//   principal == Remit::Agent::"orders-bot",
//   action == Remit::Action::"shop_db/query",
//   resource
// );
`;

export const ANY_USER = `// What users may do through an agent: whoever your identity providers vouch for may do what their agent may.
// What waits for a person (holds.cedar) waits for users too.

@id("users-all")
@reason("Whoever has signed in may.")
permit (
  principal is Remit::User,
  action in [
    Remit::Action::"discover",
    Remit::Action::"read",
    Remit::Action::"write",
    Remit::Action::"ticket",
    Remit::Action::"code",
    Remit::Action::"financial",
    Remit::Action::"export",
    Remit::Action::"privilege",
    Remit::Action::"secret"
  ],
  resource
);
`;

export const CASES_OF_ANY_USER = `  - name: whoever has signed in may as well
    user: { issuer: "https://idp.example", subject: alice }
    tool: files/list_directory
    arguments: { path: /workspace }
    expect: permit
    policies: [agents-read, users-all]
`;

export const CASES_OF_NO_USER = `  - name: nobody else may through it, until users.cedar names a group
    user: { issuer: "https://idp.example", subject: alice, groups: [support] }
    tool: files/list_directory
    arguments: { path: /workspace }
    expect: deny
    gate: user_policy
    policies: []
`;

/** One hold: a forbid that people lift. */
export function hold(parts: {
  readonly id: string;
  readonly stepUp: string;
  readonly reason: string;
  readonly classes: readonly string[];
  /** Findings of lint that it takes on. */
  readonly lintAllow?: string;
  /** From `when` or `unless` on. */
  readonly condition?: string;
}): string {
  const { id, stepUp, reason, classes, condition, lintAllow } = parts;
  const actions = classes.map((name) => `Remit::Action::"${name}"`).join(', ');
  return `
@id("${id}")
@step_up("${stepUp}")${lintAllow === undefined ? '' : `\n@lint_allow("${lintAllow}")`}
@reason("${reason}")
forbid (
  principal,
  action in [${actions}],
  resource
)${condition === undefined ? '' : `\n${condition}`};
`;
}

export const HOLDS_HEAD = `// What waits for a person, whoever asks: "remit approval ls" shows it. @step_up says who must agree, and for how long that holds.
`;
