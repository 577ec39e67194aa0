import type { Command } from 'commander';
import { addCheckCommand } from './policy-check.ts';
import { addSchemaCommand } from './policy-schema.ts';

export function addPolicyCommands(program: Command): void {
  const group = program.command('policy').description('Cedar policies');
  addCheckCommand(group);
  addSchemaCommand(group);
}
