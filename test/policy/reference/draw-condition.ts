import type { Draw } from './draw.ts';
import { CLASSES, DATA_CLASSES, ENVIRONMENTS, itemsOf, OWNERS, SINKS, ZONES } from './draw-estate.ts';
import { drawAgent, drawGroup, drawUser, type Known } from './draw-policy.ts';
import {
  AMOUNTS,
  ISSUERS,
  NOW,
  ORIGINS,
  PURPOSES,
  SUBJECTS,
  TAGS,
  TEMPLATES,
  TEXTS,
  TRUSTS,
  URIS,
} from './draw-question.ts';
import type { Expression, Pattern } from './world.ts';

/** Conditions that strict validation accepts: what a question may lack is tested for before it is read. */

const literal = (value: string | bigint | boolean): Expression => ({ is: 'literal', value });
const variable = (name: 'principal' | 'action' | 'resource' | 'context'): Expression => ({ is: 'variable', name });
const attribute = (of: Expression, ...names: string[]): Expression =>
  names.reduce((inner, name): Expression => ({ is: 'attribute', of: inner, name }), of);
const has = (of: Expression, name: string): Expression => ({ is: 'has', of, name });
const and = (left: Expression, right: Expression): Expression => ({ is: '&&', left, right });
const setOf = (values: readonly string[]): Expression => ({ is: 'set', members: values.map(literal) });
const context = variable('context');

export function drawCondition(draw: Draw, known: Known, depth: number): Expression {
  if (depth <= 0) return drawTest(draw, known);
  const part = () => drawCondition(draw, known, depth - 1);
  return draw.of<() => Expression>([
    () => drawTest(draw, known),
    () => ({ is: '&&', left: part(), right: part() }),
    () => ({ is: '||', left: part(), right: part() }),
    () => ({ is: '!', of: part() }),
    () => ({ is: 'if', test: part(), yes: part(), no: part() }),
    () => ({ is: draw.of(['==', '!='] as const), left: part(), right: part() }),
  ])();
}

function drawTest(draw: Draw, known: Known): Expression {
  const { item, isCall } = known;
  const tests = [drawEntityTest, drawResourceTest, drawTaskTest, drawPrincipalTest, drawUserTest, drawNumberTest];
  if (isCall || draw.onceIn(3)) tests.push(drawLabelTest);
  if (item !== undefined && item.profile.args.length > 0)
    tests.push(drawArgumentTest, drawArgumentTest, drawArgumentTest, drawArgumentTest);
  if (item !== undefined && item.profile.critical.length > 0) tests.push(drawOriginTest);
  return draw.of(tests)(draw, known);
}

function drawEntityTest(draw: Draw, known: Known): Expression {
  const item = draw.of(itemsOf(known.estate));
  const tool: Expression = { is: 'entity', entity: { type: 'Tool', id: item.ref } };
  const connector: Expression = { is: 'entity', entity: { type: 'Connector', id: item.connector } };
  const agent: Expression = { is: 'entity', entity: drawAgent(draw) };
  const classes = draw.of([CLASSES.slice(0, 2), CLASSES.slice(0, 1), CLASSES.slice(2, 5)]);
  const actions: Expression[] = classes.map((id) => ({ is: 'entity', entity: { type: 'Action', id } }));
  return draw.of<Expression>([
    { is: 'in', left: variable('resource'), right: connector },
    { is: 'in', left: variable('resource'), right: { is: 'set', members: [tool, tool] } },
    { is: '==', left: variable('resource'), right: tool },
    { is: 'is', of: variable('resource'), type: 'Tool', within: connector },
    { is: 'in', left: variable('action'), right: { is: 'set', members: actions } },
    { is: 'in', left: tool, right: connector },
    { is: '==', left: attribute(agent, 'zone'), right: literal(draw.of(ZONES)) },
    { is: '!=', left: attribute(tool, 'connector', 'owner'), right: literal(draw.of(OWNERS)) },
    { is: '==', left: attribute(tool, 'connector'), right: attribute(variable('resource'), 'connector') },
  ]);
}

function drawResourceTest(draw: Draw): Expression {
  const resource = variable('resource');
  const classes = attribute(resource, 'dataClasses');
  const wanted = setOf([draw.of(DATA_CLASSES), draw.of(DATA_CLASSES)]);
  return draw.of<Expression>([
    { is: 'contains', left: classes, right: literal(draw.of(DATA_CLASSES)) },
    { is: 'containsAll', left: classes, right: wanted },
    { is: 'containsAny', left: classes, right: wanted },
    { is: 'isEmpty', of: classes },
    { is: '==', left: classes, right: wanted },
    { is: '==', left: attribute(resource, 'actionClass'), right: literal(draw.of(CLASSES)) },
    { is: 'contains', left: setOf(draw.of([SINKS.slice(0, 3), SINKS.slice(2)])), right: attribute(resource, 'sink') },
    attribute(resource, 'reversible'),
    { is: '==', left: attribute(resource, 'connector', 'zone'), right: literal(draw.of(ZONES)) },
    { is: 'like', of: attribute(resource, 'connector', 'environment'), pattern: ['p', { any: true }] },
  ]);
}

function drawTaskTest(draw: Draw): Expression {
  const task = attribute(context, 'task');
  return draw.of<Expression>([
    { is: '==', left: attribute(context, 'environment'), right: literal(draw.of(ENVIRONMENTS)) },
    { is: '==', left: attribute(task, 'template'), right: literal(draw.of(TEMPLATES)) },
    { is: 'like', of: attribute(task, 'purpose'), pattern: [draw.of(['look', 'pay', '']), { any: true }] },
    { is: '!=', left: attribute(task, 'purpose'), right: literal(draw.of(PURPOSES)) },
    { is: '==', left: attribute(task, 'id'), right: literal('t1') },
    has(context, 'user'),
  ]);
}

function drawPrincipalTest(draw: Draw, { principal: type }: Known): Expression {
  const principal = variable('principal');
  const isAgent: Expression = { is: 'is', of: principal, type: 'Agent', within: undefined };
  const name = draw.of(['owner', 'environment', 'zone']);
  const values: Record<string, readonly string[]> = { owner: OWNERS, environment: ENVIRONMENTS, zone: ZONES };
  const left = attribute(principal, name);
  const right = draw.of([
    literal(draw.of(values[name] as string[])),
    attribute(variable('resource'), 'connector', name),
  ]);
  const test: Expression = { is: '==', left, right };
  const entity = draw.of([drawAgent(draw), drawUser(draw), drawGroup(draw)]);
  const groups: Expression[] = [drawGroup(draw), drawGroup(draw)].map((group) => ({ is: 'entity', entity: group }));
  return draw.of<Expression>([
    type === 'Agent' ? test : and(draw.of([isAgent, has(principal, name)]), test),
    { is: 'in', left: principal, right: { is: 'entity', entity: drawGroup(draw) } },
    { is: 'in', left: principal, right: { is: 'set', members: groups } },
    { is: 'is', of: principal, type: 'User', within: { is: 'entity', entity: drawGroup(draw) } },
    { is: 'is', of: principal, type: draw.of(['User', 'Agent']), within: undefined },
    { is: entity.type === 'Group' ? 'in' : '==', left: principal, right: { is: 'entity', entity } },
  ]);
}

function drawUserTest(draw: Draw): Expression {
  const user = attribute(context, 'user');
  const test: Expression = draw.of([
    { is: '==', left: attribute(user, 'subject'), right: literal(draw.of(SUBJECTS)) },
    { is: '==', left: attribute(user, 'issuer'), right: literal(draw.of(ISSUERS)) },
    { is: 'like', of: attribute(user, 'subject'), pattern: [{ any: true }, draw.of(['e', 'b'])] },
  ]);
  return draw.of<Expression>([
    and(has(context, 'user'), test),
    { is: '||', left: { is: '!', of: has(context, 'user') }, right: test },
  ]);
}

const BIG = 9007199254740991n;

/** Some fail at run time: 64 bits do not hold the product. */
function drawNumberTest(draw: Draw): Expression {
  const [startedAt, expiresAt] = [attribute(context, 'task', 'startedAt'), attribute(context, 'task', 'expiresAt')];
  const operator = draw.of(['<', '<=', '>', '>='] as const);
  return draw.of<Expression>([
    { is: operator, left: startedAt, right: literal(BigInt(NOW - draw.of([0, 500, 1_000]))) },
    {
      is: operator,
      left: { is: '-', left: expiresAt, right: startedAt },
      right: literal(BigInt(draw.of([5_000, 600_000]))),
    },
    { is: operator, left: startedAt, right: expiresAt },
    draw.onceIn(3)
      ? { is: operator, left: { is: '*', left: startedAt, right: literal(BIG) }, right: literal(0n) }
      : { is: operator, left: { is: '+', left: startedAt, right: literal(1n) }, right: expiresAt },
  ]);
}

function drawLabelTest(draw: Draw, { isCall }: Known): Expression {
  const labels = attribute(context, 'labels');
  const test: Expression = draw.of([
    { is: '==', left: attribute(labels, 'trust'), right: literal(draw.of(TRUSTS)) },
    { is: 'contains', left: attribute(labels, 'dataClasses'), right: literal(draw.of(DATA_CLASSES)) },
    { is: 'containsAny', left: attribute(labels, 'zones'), right: setOf([draw.of(ZONES), draw.of(ZONES)]) },
    {
      is: 'containsAll',
      left: attribute(variable('resource'), 'dataClasses'),
      right: attribute(labels, 'dataClasses'),
    },
    { is: 'contains', left: attribute(labels, 'zones'), right: attribute(variable('resource'), 'connector', 'zone') },
  ]);
  return isCall ? test : and(has(context, 'labels'), test);
}

function drawOriginTest(draw: Draw, { item }: Known): Expression {
  const name = draw.of(item?.profile.critical ?? []);
  const provenance = attribute(context, 'provenance');
  const origin = attribute(provenance, name);
  const test: Expression = draw.of([
    { is: '==', left: origin, right: literal(draw.of(ORIGINS)) },
    { is: 'contains', left: setOf(ORIGINS.slice(draw.of([0, 4]))), right: origin },
  ]);
  return and(has(provenance, name), test);
}

function drawArgumentTest(draw: Draw, { item }: Known): Expression {
  const { name, type, required } = draw.of(item?.profile.args ?? []);
  const args = attribute(context, 'args');
  const value = attribute(args, name);
  const test = drawValueTest(draw, value, type);
  if (!required) return draw.onceIn(6) ? has(args, name) : and(has(args, name), test);
  return draw.onceIn(6) ? and(has(context, 'args'), test) : test;
}

function drawValueTest(draw: Draw, value: Expression, type: string): Expression {
  switch (type) {
    case 'long': {
      const operator = draw.of(['<', '<=', '>', '>=', '==', '!='] as const);
      const doubled: Expression = { is: '*', left: { is: '*', left: value, right: literal(BIG) }, right: literal(2n) };
      const turned: Expression = { is: 'negative', of: value };
      const left = draw.onceIn(4) ? draw.of([doubled, turned]) : value;
      return { is: operator, left, right: literal(BigInt(draw.of(AMOUNTS))) };
    }
    case 'boolean':
      return draw.of<Expression>([value, { is: '==', left: value, right: literal(false) }]);
    case 'string[]':
      return draw.of<Expression>([
        { is: 'contains', left: value, right: literal(draw.of(TAGS)) },
        {
          is: draw.of(['containsAll', 'containsAny', '=='] as const),
          left: value,
          right: setOf([draw.of(TAGS), draw.of(TAGS)]),
        },
        { is: 'isEmpty', of: value },
      ]);
    default:
      return draw.of<Expression>([
        { is: 'like', of: value, pattern: drawPattern(draw, type) },
        {
          is: draw.of(['==', '!='] as const),
          left: value,
          right: literal(draw.of(type === 'path' ? ['/srv/a', '/'] : [...TEXTS, ...URIS])),
        },
        { is: 'contains', left: setOf(draw.of([TEXTS.slice(0, 2), TEXTS.slice(2), ['/', '/srv/a']])), right: value },
      ]);
  }
}

function drawPattern(draw: Draw, type: string): Pattern {
  const any = { any: true } as const;
  const [prefix, middle, suffix] = type === 'path' ? ['/srv/', 'a', 'd'] : ['ann', '*', 'example'];
  return draw.of<Pattern>([
    [prefix, any],
    [any, suffix],
    [any, middle, any],
    [prefix, any, middle, any],
    [any, '🙂', any],
    [any, '\\', any, any, 'z\n'],
    [prefix, any, suffix],
    [any],
  ]);
}
