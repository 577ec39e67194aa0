import type { Draw } from './draw.ts';
import type { Estate, Item, Owned, Profile } from './world.ts';

export const CLASSES = ['read', 'write', 'ticket', 'code', 'financial', 'export', 'privilege', 'secret'];
export const OWNERS = ['ann', 'ben'];
export const ENVIRONMENTS = ['prod', 'dev'];
export const ZONES = ['inside', 'outside', 'partner'];
export const DATA_CLASSES = ['personal', 'secret', 'public'];
export const SINKS = ['none', 'internal', 'external', 'money', 'fetch', 'admin', 'destroy'];
export const ARGUMENTS: readonly (readonly [name: string, type: string])[] = [
  ['path', 'path'],
  ['amount', 'long'],
  ['dry', 'boolean'],
  ['tags', 'string[]'],
  ['to', 'string'],
  ['note ü', 'string'],
];
export const AGENTS = ['bot', 'helper', 'third'];
/** One that the estate does not have. */
export const STRANGER = 'stranger';

/** Two or three connectors with tools, a prompt and a resource. */
export function drawEstate(draw: Draw): Estate {
  const owned = (id: string): Owned => ({
    id,
    owner: draw.of(OWNERS),
    environment: draw.of(ENVIRONMENTS),
    zone: draw.of(ZONES),
  });
  const connectors = ['mail', 'files', 'shop'].slice(0, 2 + draw.below(2)).map((id) => {
    const names = ['get', 'put', 'pay', 'drop'].slice(0, 1 + draw.below(4));
    if (draw.onceIn(2)) names.push('prompt:greet');
    const items: Item[] = names.map((name) => ({ ref: `${id}/${name}`, connector: id, profile: drawProfile(draw) }));
    if (draw.onceIn(2))
      items.push({ ref: `${id}/resource:${id}://*`, connector: id, profile: ofResource(drawProfile(draw)) });
    return { ...owned(id), items };
  });
  return { agents: AGENTS.map(owned), connectors };
}

export function drawProfile(draw: Draw): Profile {
  const args = draw.some(ARGUMENTS).map(([name, type]) => ({ name, type, required: draw.onceIn(2) }));
  return {
    actionClass: draw.of(draw.onceIn(2) ? CLASSES.slice(0, 2) : CLASSES),
    dataClasses: draw.some(DATA_CLASSES),
    reversible: draw.onceIn(2),
    sink: draw.onceIn(3) ? undefined : draw.of(SINKS),
    args,
    critical: draw.some(args.map(({ name }) => name)),
  };
}

/** Of a resource policies read the URI, always. */
const ofResource = (profile: Profile): Profile => ({
  ...profile,
  args: [{ name: 'uri', type: 'string', required: true }],
  critical: [],
});

export const itemsOf = ({ connectors }: Estate): readonly Item[] => connectors.flatMap(({ items }) => items);
