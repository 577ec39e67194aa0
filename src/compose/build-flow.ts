import { createFlow, type Flow } from '../flow/create-flow.ts';
import type { TaskRegistry } from '../tasks/task-registry.ts';
import type { Estate } from './estate.ts';

/** What tasks have read, for as long as they live. */
export function buildFlow(estate: Estate, tasks: TaskRegistry): Flow {
  const flow = createFlow({
    zoneOf: (connector) => estate.connectors.get(connector)?.zone ?? 'unknown',
    parentOf: (id) => tasks.live().find((task) => task.id === id)?.parent,
  });
  tasks.onEnd((task) => flow.forget(task.id));
  return flow;
}
