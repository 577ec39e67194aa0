/** Comments only: what a person may want to write. The same in every strictness. */
export const EXAMPLES = `// What nobody may do, whatever is permitted elsewhere: a forbid always wins. Examples, not in force.
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

/** For strictnesses in which a group has to be named before a user may do anything. */
export const NO_USERS = `// What users may do through an agent. None of this is in force until you take the comment marks away.
// A group is written issuer#group and a user issuer#subject: two identity providers never mix.

// @id("support-users")
// @reason("Support may list and read.")
// permit (
//   principal in Remit::Group::"https://idp.example#support",
//   action in [Remit::Action::"discover", Remit::Action::"read"],
//   resource
// );
`;
