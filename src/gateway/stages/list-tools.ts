import { messageOf } from '../../domain/errors.ts';
import type { GovernedTool } from '../../domain/tool.ts';
import { renderDefinition } from '../../inventory/render-definition.ts';
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
  const texts: string[] = [];
  const counts = { undescribed: 0, quarantined: 0, withheld: 0 };
  for (const tool of gateway.catalogue.tools()) {
    if (tool.status !== 'described') {
      counts[tool.status] += 1;
      continue;
    }
    const decision = await gateway.decider.decideDiscovery({ principal, task, template, tool });
    const text = decision.verdict === 'permit' ? render(gateway, tool) : undefined;
    if (text === undefined) {
      counts.withheld += 1;
      continue;
    }
    shown.push(tool);
    texts.push(text);
  }
  await gateway.recorder.record({
    type: 'discovery',
    ...identityOf(caller),
    span,
    detail: { effect: 'list', shown: shown.map((tool) => tool.ref), ...counts, purpose: task.purpose },
  });
  return `{"tools":[${texts.join(',')}],"_meta":${JSON.stringify({ 'io.remit/withheld': counts })}}`;
}

const rendered = new WeakMap<GovernedTool, string>();

/** Once a definition. One that cannot be written out is its server's fault, and must not cost the others their place in the list. */
function render(gateway: Gateway, tool: GovernedTool): string | undefined {
  const known = rendered.get(tool);
  if (known !== undefined) return known;
  try {
    const text = renderDefinition(tool);
    rendered.set(tool, text);
    return text;
  } catch (error) {
    gateway.log.warn({ tool: tool.ref, error: messageOf(error) }, 'a tool definition cannot be written out');
    return undefined;
  }
}
