import type { Command } from 'commander';
import { type Access, whoCan } from '../../inventory/who-can.ts';
import { type Common, command } from '../command.ts';
import { lineText } from '../output.ts';
import { withWorkspace } from '../with-workspace.ts';

export function addWhoCanCommand(program: Command): void {
  command<Common & { agent?: string; tool?: string; resource?: string }>(
    program,
    'who-can',
    'who can do what, for how long, under which business intent: live tasks and standing grants',
    (c) =>
      c
        .option('-a, --agent <name>', 'only this agent')
        .option('-t, --tool <tool>', 'only this connector/tool, or connector')
        .option('-r, --resource <name>', 'only this resource, for example shop_db:public.orders'),
    async (output, { config, agent, tool, resource }) => {
      await withWorkspace({ config }, async ({ store, estate, system }) => {
        const filter = { ...(agent && { agent }), ...(tool && { tool }), ...(resource && { resource }) };
        const answer = await whoCan(store, estate.tenant, filter, system.clock());
        output.result(answer, () => (answer.length === 0 ? 'Nobody.' : answer.map(describe).join('\n')));
      });
    },
  );
}

function describe(access: Access): string {
  const who = `${access.agent} (owner ${access.agentOwner})${access.user ? ` for ${access.user}` : ''}`;
  const on = access.resources.length > 0 ? ` on ${access.resources.join(', ')}` : '';
  const head = access.kind === 'live' ? 'NOW     ' : 'MAY ASK ';
  const lines = [
    `${head} ${who}`,
    `         can ${access.actionClass} with ${access.tool}${on}`,
    `         until ${access.until}, ${access.callsBudget} calls at most`,
    `         for “${access.purpose}” (${access.task ?? `template ${access.template}`}, approved by ${access.approvedBy})`,
  ];
  for (const { lease, scope, until } of access.credentials) {
    lines.push(`         holding ${lease}: ${scope}${until ? `, valid until ${until}` : ''}`);
  }
  return lines.map(lineText).join('\n');
}
