import { createCanaries } from '../../flow/canaries.ts';
import { createFlow, type Flow } from '../../flow/create-flow.ts';
import { createHandles } from '../../flow/handles.ts';
import { createMarkedValues } from '../../flow/marked-values.ts';
import { createStoredLabels, NOTHING_STICKS, type StoredLabels } from '../../flow/stored-labels.ts';
import type { TaskRegistry } from '../../tasks/task-registry.ts';
import type { Estate } from '../estate.ts';
import type { Workspace } from '../workspace.ts';
import { type FlowKeys, loadFlowKeys } from './flow-keys.ts';

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;

/** What tasks have read, for as long as they live, and what of it is kept beyond. @throws `ERR_STORE_*`, `ERR_VAULT_*` */
export async function buildFlow(workspace: Workspace, tasks: TaskRegistry): Promise<Flow> {
  const { config, estate, store, system } = workspace;
  const { dataClasses, acrossTasksHours } = config.flow.marked;
  const keys = await loadFlowKeys(workspace);
  const { printer } = keys;
  const flow = createFlow({
    zoneOf: (connector) => estate.connectors.get(connector)?.zone ?? 'unknown',
    parentOf: (id) => tasks.live().find((task) => task.id === id)?.parent,
    stored: await loadStored(workspace, keys),
    marked: createMarkedValues({
      printer,
      dataClasses,
      acrossMs: acrossTasksHours === undefined ? undefined : acrossTasksHours * HOUR_MS,
      clock: system.clock,
    }),
    handles: createHandles({ isOn: hidesAnything(estate), random: system.random }),
    canaries: createCanaries(printer, await store.canaries.list(estate.tenant)),
  });
  tasks.onEnd((task) => flow.forget(task.id));
  return flow;
}

const hidesAnything = ({ connectors }: Estate): boolean =>
  [...connectors.values()].some(({ config: { tools, resources, prompts } }) =>
    [tools, resources, prompts].some((items) => Object.values(items).some(({ handle }) => handle !== undefined)),
  );

async function loadStored(
  { config, estate, store, system }: Workspace,
  { fingerprint }: FlowKeys,
): Promise<StoredLabels> {
  const { labels, thingDays, connectorDays } = config.flow.stored;
  if (labels === 'off') return NOTHING_STICKS;
  const { tenant } = estate;
  const { clock } = system;
  const thingMs = thingDays * DAY_MS;
  const connectorMs = connectorDays * DAY_MS;
  const now = clock();
  // What would not be heeded any more need not be read, at this start or a later one.
  await store.storedMarks.forget(tenant, { things: now - thingMs, connectors: now - connectorMs });
  return createStoredLabels({
    tenant,
    repository: store.storedMarks,
    fingerprint,
    clock,
    thingMs,
    connectorMs,
    marks: await store.storedMarks.list(tenant),
  });
}
