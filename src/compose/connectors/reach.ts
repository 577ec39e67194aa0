import { RemitError } from '../../domain/errors.ts';
import { connectorId, type ToolRef } from '../../domain/ids.ts';
import { itemRef, type ToolProfile } from '../../domain/tool.ts';
import { type ReachableWhole, type ReachConnector, reachableWhole } from '../../inventory/reachable-whole.ts';
import type { Store } from '../../seams/store.ts';
import type { Estate, EstateConnector } from '../estate.ts';
import type { EstateFinding } from './estate-findings.ts';

/** What whoever approves a connector has to see, and what stands in the way of seeing all of it. */
export interface Reach extends ReachableWhole {
  /** Items that the server shows and that nobody has described, or that are quarantined: not callable, and not part of the whole. */
  readonly notCallable: number;
  /** Whether the server has ever been listed; false: what it has besides is not known. */
  readonly isListed: boolean;
  /** Kind of its credential. */
  readonly credential: string;
  readonly reviewed: EstateConnector['config']['reviewed'];
}

/** @throws `ERR_NOT_FOUND` where no connector is called so */
export async function reachOf(name: string, estate: Estate, { inventory }: Pick<Store, 'inventory'>): Promise<Reach> {
  const id = connectorId(name);
  const connector = estate.connectors.get(id);
  const whole = wholeOf(id, estate, reachConnectors(estate));
  if (connector === undefined || whole === undefined) {
    throw new RemitError('ERR_NOT_FOUND', `no connector is called ${name}`, {
      where: 'connectors',
      hint: `Connectors: ${[...estate.connectors.keys()].join(', ') || 'none'}.`,
    });
  }
  const seen = await inventory.tools(estate.tenant, id);
  return {
    ...whole,
    notCallable: seen.filter(({ status }) => status !== 'described').length,
    isListed: seen.length > 0,
    credential: Object.keys(connector.config.credential ?? {}).find((kind) => kind !== 'mode') ?? 'none',
    reviewed: connector.config.reviewed,
  };
}

/** Where what is reachable through a connector goes beyond it and nobody has reviewed it, or it has changed since. */
export function reachFindings(estate: Estate): EstateFinding[] {
  const connectors = reachConnectors(estate);
  return [...estate.connectors.values()].flatMap(({ id, owner, config: { reviewed } }): EstateFinding[] => {
    const whole = wholeOf(id, estate, connectors);
    if (whole === undefined || whole.digest === reviewed?.reach) return [];
    const refs = [`connectors.${id}`];
    const next = `Look at \`remit connector reach ${id}\`, then approve it by \`remit connector review ${id}\`.`;
    if (reviewed !== undefined) {
      const text = `what is reachable through ${id} is not what ${reviewed.by} reviewed at ${reviewed.at}`;
      return [{ severity: 'high', kind: 'reach_changed', refs, owner, text, next }];
    }
    if (whole.onward.length === 0) return [];
    const others = whole.onward.map(({ connector }) => connector).join(', ');
    const text = `what is read at ${id} can come to ${others}, and nobody has reviewed that`;
    return [{ severity: 'low', kind: 'reach_not_reviewed', refs, owner, text, next }];
  });
}

const wholeOf = (id: ReachConnector['id'], { templates }: Estate, connectors: ReturnType<typeof reachConnectors>) =>
  reachableWhole(id, connectors, [...templates.values()]);

function reachConnectors({ connectors }: Estate): ReadonlyMap<ReachConnector['id'], ReachConnector> {
  return new Map(
    [...connectors.values()].map(({ id, owner, environment, zone, profiles, resources, prompts }) => {
      const entries = (kind: Parameters<typeof itemRef>[1], of: ReadonlyMap<string, ToolProfile>) =>
        [...of].map(([name, profile]): [ToolRef, ToolProfile] => [itemRef(id, kind, name), profile]);
      const items = [...entries('tool', profiles), ...entries('resource', resources), ...entries('prompt', prompts)];
      return [id, { id, owner, environment, zone, items: new Map(items) }];
    }),
  );
}
