import type { TypeAndId } from '@cedar-policy/cedar-wasm/nodejs';
import { ACTION_CLASSES } from '../../domain/tool.ts';
import { CALL, NAMESPACE, uid } from './cedar-names.ts';
import type { Estate } from './policy-inventory.ts';

/** What an attribute of an entity can be. */
export type Attribute = string | boolean | TypeAndId | readonly string[];

export interface EntityFacts {
  readonly attributes: Readonly<Record<string, Attribute>>;
  /** Everything above it, not only the nearest. */
  readonly parents: readonly TypeAndId[];
}

/**
 * What policies can look at in an entity that the estate knows; undefined for one that it does not, and for users and groups: what a user is in,
 * the request says. One place for it, because it is sent to Cedar and read here.
 */
export function factsOf(estate: Estate, { type, id }: TypeAndId): EntityFacts | undefined {
  switch (type.slice(NAMESPACE.length + 2)) {
    case 'Agent':
    case 'Connector': {
      const known = (type.endsWith('Agent') ? estate.agents : estate.connectors).get(id);
      if (known === undefined) return undefined;
      const { owner, environment, zone } = known;
      return { attributes: { owner, environment, zone }, parents: [] };
    }
    case 'Tool': {
      const tool = estate.tools.get(id);
      if (tool === undefined) return undefined;
      const { actionClass, dataClasses, reversible, flow } = tool.profile;
      const sink = flow?.sink ?? 'none';
      const connector = uid('Connector', tool.connector);
      return { attributes: { connector, actionClass, dataClasses, reversible, sink }, parents: [connector] };
    }
    case 'Action': {
      const actionClass = estate.tools.get(id)?.profile.actionClass;
      if (actionClass !== undefined) {
        return { attributes: {}, parents: [uid('Action', actionClass), uid('Action', CALL)] };
      }
      const isClass = (ACTION_CLASSES as readonly string[]).includes(id);
      return isClass ? { attributes: {}, parents: [uid('Action', CALL)] } : undefined;
    }
    default:
      return undefined;
  }
}
