import { Command, CommanderError } from 'commander';

type Add = (program: Command, version: string) => void;

/**
 * Every command of the first level and what brings it, in the order of the help. Only the one that is run is loaded: what the gateway is made of
 * takes a second to load, which `remit secret ls` need not wait for.
 */
const COMMANDS: Readonly<Record<string, () => Promise<Add>>> = {
  init: async () => (await import('./commands/init.ts')).addInitCommand,
  up: async () => (await import('./commands/up.ts')).addUpCommand,
  connect: async () => (await import('./commands/connect.ts')).addConnectCommands,
  token: async () => (await import('./commands/connect.ts')).addConnectCommands,
  hook: async () => (await import('./commands/hook.ts')).addHookCommands,
  agent: async () => (await import('./commands/agent.ts')).addAgentCommands,
  task: async () => (await import('./commands/task.ts')).addTaskCommands,
  lease: async () => (await import('./commands/lease.ts')).addLeaseCommands,
  reap: async () => (await import('./commands/lease.ts')).addLeaseCommands,
  approval: async () => (await import('./commands/approval.ts')).addApprovalCommands,
  approve: async () => (await import('./commands/approval.ts')).addApprovalCommands,
  deny: async () => (await import('./commands/approval.ts')).addApprovalCommands,
  node: async () => (await import('./commands/node.ts')).addNodeCommands,
  risk: async () => (await import('./commands/risk.ts')).addRiskCommands,
  connector: async () => (await import('./commands/connector.ts')).addConnectorCommands,
  kill: async () => (await import('./commands/kill.ts')).addKillCommand,
  tool: async () => (await import('./commands/tool.ts')).addToolCommands,
  secret: async () => (await import('./commands/secret.ts')).addSecretCommands,
  policy: async () => (await import('./commands/policy.ts')).addPolicyCommands,
  keys: async () => (await import('./commands/keys.ts')).addKeysCommands,
  'who-can': async () => (await import('./commands/who-can.ts')).addWhoCanCommand,
  why: async () => (await import('./commands/why.ts')).addWhyCommand,
  audit: async () => (await import('./commands/audit.ts')).addAuditCommands,
  auditor: async () => (await import('./commands/auditor.ts')).addAuditorCommands,
  canary: async () => (await import('./commands/canary.ts')).addCanaryCommands,
  findings: async () => (await import('./commands/findings.ts')).addFindingsCommand,
  doctor: async () => (await import('./commands/doctor.ts')).addDoctorCommand,
};

/** Runs one command line. Sets the exit code; never throws for what a person typed. */
export async function runCli(argv: readonly string[], version: string): Promise<void> {
  const program = await buildProgram(argv[0], version);
  try {
    await program.parseAsync([...argv], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // Commander has printed what was wrong; help and version are no errors.
    process.exitCode = error.exitCode === 0 ? 0 : 2;
  }
}

/** @param name of the command that is run; with another, or none, the program has all */
export async function buildProgram(name: string | undefined, version: string): Promise<Command> {
  const program = new Command('remit')
    .description('Identity and access governance for MCP: the task is the unit of authority.')
    .version(version)
    .showHelpAfterError('Run the command with --help to see what it takes.')
    .exitOverride();
  for (const add of await addsFor(name)) add(program, version);
  for (const child of allCommands(program)) child.exitOverride();
  return program;
}

/** The command that is named, or all: for the help, and for a proposal where the name is misspelt. */
async function addsFor(name: string | undefined): Promise<ReadonlySet<Add>> {
  if (name === '--version' || name === '-V') return new Set();
  const load = name !== undefined && Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  return new Set(load === undefined ? await Promise.all(Object.values(COMMANDS).map((one) => one())) : [await load()]);
}

function allCommands(command: Command): Command[] {
  return command.commands.flatMap((child) => [child, ...allCommands(child)]);
}
