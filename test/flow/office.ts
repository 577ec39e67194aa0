import { toFlowProfile } from '../../src/compose/connectors/flow-profiles.ts';
import type { ProfileFlowConfig } from '../../src/config/flow-schema.ts';
import { connectorId, type TaskId } from '../../src/domain/ids.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import type { Task, TemplateFlow } from '../../src/domain/task.ts';
import type { ActionClass, GovernedTool } from '../../src/domain/tool.ts';
import { createFlow, type Flow, type FlowParts } from '../../src/flow/create-flow.ts';
import { makeItem, makeTask, nothingKept } from '../support/fake-gateway-parts.ts';

/** What tests of flow share: a few described tools, tasks of a family, and one step of a call as the gateway makes it. */

export const ZONES: Readonly<Record<string, string>> = { office: 'internal', vault: 'secure' };

export function tool(
  name: string,
  flow: ProfileFlowConfig,
  more: { actionClass?: ActionClass; dataClasses?: string[]; connector?: string } = {},
): GovernedTool {
  const item = makeItem('tool', name, { connector: connectorId(more.connector ?? 'office') });
  if (item.profile === undefined) throw new Error('no profile');
  const { actionClass = 'read', dataClasses = [] } = more;
  return { ...item, profile: { ...item.profile, actionClass, dataClasses, flow: toFlowProfile(flow) } };
}

export const untrusted = { trust: 'untrusted', fields: {}, format: 'json' } as const;

export const SEARCH = tool(
  'search',
  { source: { ...untrusted, fields: { id: 'mail', from: 'address', file: 'file' } } },
  { dataClasses: ['personal'] },
);
export const CONTACTS = tool('contacts', { source: { trust: 'trusted', fields: {}, format: 'json' } });
export const SEND = tool(
  'send',
  { source: untrusted, sink: 'external', critical: { to: 'address', cc: 'address' }, asked: ['send', 'mail'] },
  { actionClass: 'export' },
);
export const POST = tool('post', { source: untrusted, sink: 'external', asked: ['post'] }, { actionClass: 'export' });
export const FETCH = tool('fetch', { source: untrusted, sink: 'fetch', critical: { url: 'url' } });
export const NOTE = tool(
  'note',
  { source: untrusted, sink: 'internal', critical: { file: 'file' } },
  { actionClass: 'write' },
);
export const REMOVE = tool(
  'remove',
  { source: untrusted, sink: 'destroy', critical: { file: 'file' } },
  { actionClass: 'write' },
);
export const STORE = tool(
  'store',
  { source: untrusted, sink: 'internal' },
  { actionClass: 'write', connector: 'vault' },
);

export const taskOf = (id: string, parent?: Task): Task => ({ ...makeTask(id), parent: parent?.id });

/** A flow over tasks that know their parents. */
export function newFlow(tasks: readonly Task[] = [], more: Partial<FlowParts> = {}): Flow {
  const parents = new Map<TaskId, TaskId | undefined>(tasks.map(({ id, parent }) => [id, parent]));
  return createFlow({
    zoneOf: (connector) => ZONES[connector] ?? 'internal',
    parentOf: (id) => parents.get(id),
    ...nothingKept(),
    ...more,
  });
}

let spans = 0;

/** What a gateway does with a call that policy permits: judged, joined and, where it is not held, answered. @returns the rule that holds it */
export function call(
  flow: Flow,
  task: Task,
  item: GovernedTool,
  args: JsonObject,
  result?: unknown,
  template?: TemplateFlow,
): string | undefined {
  const question = { task, template, item, args };
  const { hold, facts } = flow.judge(question);
  if (hold !== undefined) return hold.rule;
  flow.admit(question, facts.provenance);
  spans += 1;
  if (result !== undefined) flow.learn(task, item, args, String(spans).padStart(16, '0'), asResult(result));
  return undefined;
}

export const asResult = (value: unknown): JsonObject => ({
  content: [{ type: 'text', text: typeof value === 'string' ? value : JSON.stringify(value) }],
});
