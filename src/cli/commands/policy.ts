import type { Command } from 'commander';
import { addCheckCommand } from './policy-check.ts';
import { addExportCommand } from './policy-export.ts';
import { addLintCommand } from './policy-lint.ts';
import { addReloadCommand } from './policy-reload.ts';
import { addSchemaCommand } from './policy-schema.ts';
import { addShadowCommand } from './policy-shadow.ts';
import { addSimulateCommand } from './policy-simulate.ts';
import { addSuggestCommand } from './policy-suggest.ts';
import { addTestCommand } from './policy-test.ts';
import { addVersionsCommand } from './policy-versions.ts';

export function addPolicyCommands(program: Command): void {
  const group = program.command('policy').description('Cedar policies');
  addCheckCommand(group);
  addSchemaCommand(group);
  addTestCommand(group);
  addLintCommand(group);
  addReloadCommand(group);
  addShadowCommand(group);
  addVersionsCommand(group);
  addExportCommand(group);
  addSimulateCommand(group);
  addSuggestCommand(group);
}
