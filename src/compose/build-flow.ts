import { createHmac } from 'node:crypto';
import { createFlow, type Flow } from '../flow/create-flow.ts';
import { createStoredLabels, NOTHING_STICKS, type StoredLabels } from '../flow/stored-labels.ts';
import type { TaskRegistry } from '../tasks/task-registry.ts';
import { loadOrCreateStateKey } from './state-key.ts';
import type { Workspace } from './workspace.ts';

const DAY_MS = 86_400_000;

/** What tasks have read, for as long as they live, and what sticks to what they have stored. @throws `ERR_STORE_*` */
export async function buildFlow(workspace: Workspace, tasks: TaskRegistry): Promise<Flow> {
  const { estate } = workspace;
  const flow = createFlow({
    zoneOf: (connector) => estate.connectors.get(connector)?.zone ?? 'unknown',
    parentOf: (id) => tasks.live().find((task) => task.id === id)?.parent,
    stored: await loadStored(workspace),
  });
  tasks.onEnd((task) => flow.forget(task.id));
  return flow;
}

async function loadStored({ config, estate, store, vault, system }: Workspace): Promise<StoredLabels> {
  const { labels, thingDays, connectorDays } = config.flow.stored;
  if (labels === 'off') return NOTHING_STICKS;
  const { tenant } = estate;
  const { clock, random } = system;
  const key = await loadOrCreateStateKey({ tenant, repository: store.taskKeys, vault, random, clock });
  const namesKey = createHmac('sha256', key).update('names of things that tasks have stored').digest();
  key.fill(0);
  const thingMs = thingDays * DAY_MS;
  const connectorMs = connectorDays * DAY_MS;
  const now = clock();
  // What would not be heeded any more need not be read, at this start or a later one.
  await store.storedMarks.forget(tenant, { things: now - thingMs, connectors: now - connectorMs });
  return createStoredLabels({
    tenant,
    repository: store.storedMarks,
    fingerprint: (text) => createHmac('sha256', namesKey).update(text).digest('base64url').slice(0, 22),
    clock,
    thingMs,
    connectorMs,
    marks: await store.storedMarks.list(tenant),
  });
}
