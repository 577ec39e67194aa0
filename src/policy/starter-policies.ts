/** A policy file, by its path in the policies folder. */
export interface StarterPolicy {
  readonly path: string;
  readonly text: string;
}

const AGENTS = `// What agents may do. Everything that no policy permits is denied: deleting a policy here takes a right away.
//
// A call needs more than a permit here. The tool must be described by its owner, the task must include it, and where the
// agent acts for a user, a separate policy must permit the user too: a permit for an agent never covers its user,
// and a permit for a user never covers the agent (see users.cedar).
//
// schema.cedarschema in this folder lists what a policy may speak of; "remit policy check" reads every file.

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

const USERS = `// What users may do through an agent. None of this is in force until you take the comment marks away.
// A group is written issuer#group and a user issuer#subject: two identity providers never mix.

// @id("support-users")
// @reason("Support may list and read.")
// permit (
//   principal in Remit::Group::"https://idp.example#support",
//   action in [Remit::Action::"discover", Remit::Action::"read"],
//   resource
// );
`;

const FORBIDS = `// What nobody may do, whatever is permitted elsewhere: a forbid always wins. Examples, not in force.
// @reason is told to the caller, and @next says what to do instead.

// Files outside one folder. A path is absolute and normalised before a policy sees it, so ".." cannot lead out of it.
//
// @id("files-in-folder")
// @reason("Only files under /srv/reports may be read.")
// @next("Choose a file under /srv/reports.")
// forbid (
//   principal,
//   action == Remit::Action::"files/read_text_file",
//   resource
// )
// unless { context.args.path like "/srv/reports/*" };

// Personal data for agents outside production:
//
// @id("personal-data-in-production-only")
// @reason("Personal data is for production agents only.")
// forbid (
//   principal is Remit::Agent,
//   action in Remit::Action::"call",
//   resource
// )
// when { resource.dataClasses.contains("personal") && principal.environment != "production" };

// Money, unless a user is behind the call:
//
// @id("money-needs-a-user")
// @reason("Payments are made for a user only.")
// forbid (
//   principal,
//   action in Remit::Action::"financial",
//   resource
// )
// unless { context has user };
`;

/** The commented policies that `remit init` writes: agents may list and read within their task, and nothing else. */
export function starterPolicies(): StarterPolicy[] {
  return [
    { path: 'agents.cedar', text: AGENTS },
    { path: 'users.cedar', text: USERS },
    { path: 'forbids.cedar', text: FORBIDS },
  ];
}
