import type { Draw } from './draw.ts';
import { drawCondition } from './draw-condition.ts';
import { AGENTS, CLASSES, ENVIRONMENTS, itemsOf } from './draw-estate.ts';
import { GROUPS, ISSUERS, SUBJECTS } from './draw-question.ts';
import type { Entity, Estate, Expression, Item, Policy, Scope, Terms } from './world.ts';

/** What is known of all questions that a policy's scope lets through: a condition may rely on it. */
export interface Known {
  readonly estate: Estate;
  /** The one item whose call it is about: only then arguments have types. */
  readonly item: Item | undefined;
  readonly isCall: boolean;
  readonly principal: string | undefined;
}

export const ANY: Scope = { type: undefined, of: undefined };
const exactly = (entity: Entity): Scope => ({ type: undefined, of: { how: '==', entities: [entity] } });
const within = (...entities: Entity[]): Scope => ({ type: undefined, of: { how: 'in', entities } });
const action = (id: string): Entity => ({ type: 'Action', id });

export const drawGroup = (draw: Draw): Entity => ({ type: 'Group', id: `${draw.of(ISSUERS)}#${draw.of(GROUPS)}` });
export const drawUser = (draw: Draw): Entity => ({ type: 'User', id: `${draw.of(ISSUERS)}#${draw.of(SUBJECTS)}` });
export const drawAgent = (draw: Draw): Entity => ({ type: 'Agent', id: draw.of(AGENTS) });

export function drawPolicy(draw: Draw, estate: Estate, id: string): Policy {
  const item = draw.of(itemsOf(estate));
  const principal = drawPrincipal(draw);
  const acting = drawAction(draw, item, estate);
  const known: Known = { estate, principal: principal.known, isCall: acting.isCall, item: acting.item };
  const effect = draw.of(['permit', 'permit', 'forbid'] as const);
  return {
    id,
    effect,
    principal: principal.scope,
    action: acting.scope,
    resource: drawResource(draw, acting.item ?? item),
    clauses: draw.of([0, 1, 1, 2].map((count) => Array.from({ length: count }))).map(() => ({
      kind: draw.of(['when', 'when', 'unless'] as const),
      body: drawCondition(draw, known, draw.below(4)),
    })),
    reason: draw.onceIn(3) ? `Because of ${id}.` : undefined,
    next: draw.onceIn(4) ? `Ask about ${id}.` : undefined,
    stepUp: effect === 'forbid' && draw.onceIn(2) ? drawTerms(draw) : undefined,
  };
}

/** Without any of these most questions would be denied for want of a permit. */
export function drawBroadPermit(draw: Draw, id: string): Policy {
  const scope = draw.of([ANY, ANY, within(action('call')), within(action('discover'), action('call'))]);
  return {
    id,
    effect: 'permit',
    principal: ANY,
    action: scope,
    resource: ANY,
    clauses: [],
    reason: undefined,
    next: undefined,
    stepUp: undefined,
  };
}

/** One that fails on calls of one item, in one environment: 64 bits do not hold the product. */
export function drawFailingPolicy(draw: Draw, estate: Estate, id: string): Policy {
  const context: Expression = { is: 'variable', name: 'context' };
  const of = (inner: Expression, name: string): Expression => ({ is: 'attribute', of: inner, name });
  const big: Expression = { is: 'literal', value: 9007199254740991n };
  const product: Expression = { is: '*', left: of(of(context, 'task'), 'startedAt'), right: big };
  const body: Expression = {
    is: '&&',
    left: { is: '==', left: of(context, 'environment'), right: { is: 'literal', value: draw.of(ENVIRONMENTS) } },
    right: { is: '>', left: product, right: big },
  };
  return {
    ...drawBroadPermit(draw, id),
    effect: draw.of(['permit', 'forbid'] as const),
    action: exactly(action(draw.of(itemsOf(estate)).ref)),
    clauses: [{ kind: 'when', body }],
  };
}

function drawTerms(draw: Draw): Terms {
  return {
    groups: draw.some(['payments', 'security']),
    count: draw.of([1, 2]),
    expiresSeconds: draw.of([90, 900, 7200]),
    limit: draw.of([1, 20]),
    barred: draw.some(['user', 'owner']),
  };
}

function drawPrincipal(draw: Draw): { scope: Scope; known: string | undefined } {
  const user = draw.of([drawUser(draw), drawGroup(draw)]);
  return draw.of([
    { scope: ANY, known: undefined },
    { scope: { ...ANY, type: 'User' }, known: 'User' },
    { scope: { ...ANY, type: 'Agent' }, known: 'Agent' },
    { scope: exactly(drawAgent(draw)), known: 'Agent' },
    { scope: within(drawAgent(draw)), known: 'Agent' },
    { scope: exactly(drawUser(draw)), known: 'User' },
    { scope: within(user), known: 'User' },
    { scope: { ...within(drawGroup(draw)), type: 'User' }, known: 'User' },
    { scope: { ...within(drawAgent(draw)), type: 'Agent' }, known: 'Agent' },
  ]);
}

function drawAction(draw: Draw, item: Item, estate: Estate): { scope: Scope; isCall: boolean; item: Item | undefined } {
  const one = action(item.ref);
  return draw.of([
    { scope: ANY, isCall: false, item: undefined },
    { scope: within(action('call')), isCall: true, item: undefined },
    { scope: within(action(draw.of(CLASSES.slice(0, 3)))), isCall: true, item: undefined },
    { scope: within(action(item.profile.actionClass)), isCall: true, item: undefined },
    { scope: within(action(item.profile.actionClass), action('discover')), isCall: false, item: undefined },
    { scope: exactly(action('discover')), isCall: false, item: undefined },
    { scope: exactly(one), isCall: true, item },
    { scope: exactly(one), isCall: true, item },
    { scope: exactly(one), isCall: true, item },
    { scope: within(one), isCall: true, item },
    { scope: within(one, action(draw.of(itemsOf(estate)).ref)), isCall: true, item: undefined },
  ]);
}

function drawResource(draw: Draw, item: Item): Scope {
  const tool: Entity = { type: 'Tool', id: item.ref };
  const connector: Entity = { type: 'Connector', id: item.connector };
  return draw.of([
    ANY,
    ANY,
    { ...ANY, type: 'Tool' },
    exactly(tool),
    within(tool),
    within(connector),
    { ...within(connector), type: 'Tool' },
  ]);
}
