import { messageOf } from '../../domain/errors.ts';
import type { GovernedTool } from '../../domain/tool.ts';
import type { Gateway } from '../gateway.ts';
import type { Caller } from './authenticate.ts';
import { identityOf } from './record-intent.ts';

/**
 * Answers `tools/list` from the catalogue: one `discover` decision a tool, one `discovery` record a listing
 * (guarantees D2, A2). Tools without an approved profile are counted, not shown.
 * @returns JSON text of the result
 */
export async function listTools(gateway: Gateway, caller: Caller, span: string): Promise<string> {
  const { principal, task } = caller;
  const template = gateway.template(task.template);
  const shown: GovernedTool[] = [];
  const counts = { undescribed: 0, quarantined: 0, withheld: 0 };
  for (const tool of gateway.catalogue.tools()) {
    if (tool.status !== 'described') {
      counts[tool.status] += 1;
      continue;
    }
    const decision = await gateway.decider.decideDiscovery({ principal, task, template, tool });
    if (decision.verdict === 'permit') shown.push(tool);
    else counts.withheld += 1;
  }
  await gateway.recorder.record({
    type: 'discovery',
    ...identityOf(caller),
    span,
    detail: { effect: 'list', shown: shown.map((tool) => tool.ref), ...counts, purpose: task.purpose },
  });
  return JSON.stringify({
    tools: shown.map(asClientSees),
    _meta: { 'io.remit/withheld': counts },
  });
}

/** The definition under the gateway's own name. A definition that cannot be written out is a fault of the server's. */
function asClientSees(tool: GovernedTool): object {
  try {
    const { _meta: _dropped, ...definition } = tool.definition.raw;
    return { ...definition, name: tool.exposedName };
  } catch (error) {
    throw new Error(`definition of ${tool.ref}: ${messageOf(error)}`);
  }
}
