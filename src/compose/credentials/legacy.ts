import { type ConnectorId, toolRef } from '../../domain/ids.ts';
import { createLegacyConnectors, type LegacyConnectors } from '../../gateway/legacy-connectors.ts';
import { DEFAULT_TEMPLATES } from '../../leases/render-injection.ts';
import { createSharedPace, type SharedPace } from '../../nodes/shared-pace.ts';
import type { TaskRegistry } from '../../tasks/task-registry.ts';
import type { Workspace } from '../workspace.ts';
import { staticPlace } from './static-place.ts';

/** The connectors that live under an exception; undefined where there is none, so that calls pay nothing for it. */
export function buildLegacy(
  { estate, store, system }: Workspace,
  tasks: Pick<TaskRegistry, 'onEnd'>,
  closers: (() => unknown)[],
): LegacyConnectors | undefined {
  const { connectors, tenant } = estate;
  const { clock, monotonic, schedule, random, log } = system;
  const legacy = [...connectors.values()].flatMap(({ id, config }) => {
    const { credential } = config;
    if (credential?.static === undefined) return [];
    const { exception } = credential.static;
    const { owner, expires, controls } = exception;
    const { environment, headers } = credential.inject;
    const injectedAs = [
      ...Object.keys(environment).map((name) => `variable ${name}`),
      ...Object.keys(headers).map((name) => `header ${name}`),
    ];
    const usual = Object.keys(DEFAULT_TEMPLATES.static.headers).map((name) => `header ${name}`);
    return [
      [
        id,
        {
          tools: new Set(controls.tools.map((name) => toolRef(id, name))),
          callsPerMinute: controls.callsPerMinute,
          callsPerMinutePerTask: controls.callsPerMinutePerTask,
          exception: { owner, expires },
          secret: staticPlace(credential.static),
          injectedAs: injectedAs.length > 0 ? injectedAs : usual,
        },
      ] as const,
    ];
  });
  if (legacy.length === 0) return undefined;
  const { shared } = store;
  const holder = Buffer.from(random(12)).toString('hex');
  const paceOfAll =
    shared &&
    ((connector: ConnectorId, perMinute: number): SharedPace => {
      const name = `connector ${connector}`;
      const common = { tenant, name, perMinute, holder, monotonic, schedule, log };
      const pace = createSharedPace({ ...common, repository: shared.paces });
      closers.push(() => pace.close());
      return pace;
    });
  const built = createLegacyConnectors(new Map(legacy), clock, paceOfAll);
  tasks.onEnd(({ id }) => built.forgetTask(id));
  return built;
}
