import { messageOf } from '../../domain/errors.ts';
import type { ConnectorId, ToolRef } from '../../domain/ids.ts';
import type { GovernedTool } from '../../domain/tool.ts';
import { renderDefinition, renderPrompt, renderTemplate } from '../../inventory/render-definition.ts';
import type { ClientRequest, MethodAnswer } from '../client-request.ts';
import type { Gateway } from '../gateway.ts';
import type { Caller } from '../stages/authenticate.ts';
import { identityOf } from '../stages/record-intent.ts';
import { pageOf, pageStart } from './pages.ts';
import { invalidParams, listAnswer } from './results.ts';

/** One line of a list. `item` is what is decided on; undefined where nobody has described it. */
interface Entry {
  readonly connector: ConnectorId;
  readonly item: GovernedTool | undefined;
  /** JSON text. @throws for a definition that cannot be written out */
  readonly render: () => string | undefined;
}

export const listTools = (gateway: Gateway, caller: Caller, request: ClientRequest): Promise<MethodAnswer> =>
  list(gateway, caller, request, 'tools', named(gateway, request, gateway.catalogue.tools(), renderDefinition));

export const listPrompts = (gateway: Gateway, caller: Caller, request: ClientRequest): Promise<MethodAnswer> =>
  list(gateway, caller, request, 'prompts', named(gateway, request, gateway.catalogue.prompts(), renderPrompt));

export function listTemplates(gateway: Gateway, caller: Caller, request: ClientRequest): Promise<MethodAnswer> {
  const entries = gateway.catalogue
    .templates()
    .map(({ connector, raw, item }) => ({ connector, item, render: () => renderTemplate(raw) }));
  return list(gateway, caller, request, 'resourceTemplates', entries);
}

/** What is rendered of an item, on the path of all and on its connector's own. */
const rendered = { all: new WeakMap<GovernedTool, string>(), own: new WeakMap<GovernedTool, string>() };

function named(
  { catalogue }: Gateway,
  { scope }: ClientRequest,
  items: readonly GovernedTool[],
  render: (item: GovernedTool, name: string) => string,
): Entry[] {
  const known = scope === undefined ? rendered.all : rendered.own;
  return items.map((item) => ({
    connector: item.connector,
    item,
    render: () => {
      let text = known.get(item);
      if (text === undefined) {
        text = render(item, catalogue.shownName(item, scope));
        known.set(item, text);
      }
      return text;
    },
  }));
}

/**
 * Answers from the catalogue: one `discover` decision an item, one `discovery` record a listing (guarantees D2, A2). Items without an approved
 * profile are counted, not shown. Nothing in it varies by connection.
 */
async function list(
  gateway: Gateway,
  caller: Caller,
  request: ClientRequest,
  member: string,
  entries: readonly Entry[],
): Promise<MethodAnswer> {
  const start = pageStart(gateway, caller, request);
  if (start === undefined) return invalidParams('"cursor" is none that this gateway gave for this list');
  const mayDiscover = discoverer(gateway, caller);
  const shown: ToolRef[] = [];
  const texts: string[] = [];
  const counts = { undescribed: 0, quarantined: 0, withheld: 0 };
  for (const { connector, item, render } of entries) {
    if (request.scope !== undefined && connector !== request.scope) continue;
    if (item === undefined || item.status !== 'described') {
      const why = item?.status === 'suspended' ? 'withheld' : item?.status;
      counts[why === 'quarantined' || why === 'withheld' ? why : 'undescribed'] += 1;
      continue;
    }
    const may = mayDiscover(item);
    const text = (may instanceof Promise ? await may : may) ? writeOut(gateway, item, render) : undefined;
    if (text === undefined) {
      counts.withheld += 1;
      continue;
    }
    shown.push(item.ref);
    texts.push(text);
  }
  const page = pageOf(gateway, caller, request, start, texts);
  await gateway.recorder.record({
    type: 'discovery',
    ...identityOf(caller),
    span: gateway.newSpan(),
    detail: {
      effect: 'list',
      method: request.method,
      ...(request.scope !== undefined && { scope: request.scope }),
      shown,
      ...counts,
      purpose: caller.task.purpose,
    },
  });
  const meta = `"_meta":{"io.remit/withheld":${JSON.stringify(counts)}}`;
  return listAnswer(request, `"${member}":[${page.texts.join(',')}],${meta}${page.next}`);
}

/** One that cannot be written out is its server's fault, and must not cost the others their place in the list. */
function writeOut(gateway: Gateway, { ref }: GovernedTool, render: Entry['render']): string | undefined {
  try {
    return render();
  } catch (error) {
    gateway.log.warn({ tool: ref, error: messageOf(error) }, 'a definition cannot be written out');
    return undefined;
  }
}

/** Whether an item is listed for a caller: decided once an item of one listing. */
export function discoverer(gateway: Gateway, caller: Caller): (item: GovernedTool) => boolean | Promise<boolean> {
  const { principal, task } = caller;
  const template = gateway.template(task.template);
  const decided = new Map<ToolRef, boolean | Promise<boolean>>();
  return (item) => {
    let may = decided.get(item.ref);
    if (may === undefined) {
      const decision = gateway.decider.decideDiscovery({ principal, task, template, tool: item });
      may =
        decision instanceof Promise
          ? decision.then(({ verdict }) => verdict === 'permit')
          : decision.verdict === 'permit';
      decided.set(item.ref, may);
    }
    return may;
  };
}
