import type { Draw } from './draw.ts';
import { AGENTS, CLASSES, DATA_CLASSES, ENVIRONMENTS, itemsOf, STRANGER, ZONES } from './draw-estate.ts';
import type { Bounds, Estate, Person, Profile, Question } from './world.ts';

export const NOW = 1_750_000_000_000;
export const PATHS = ['/', '/srv/a', '/srv/a/b', '/etc/passwd', '/srv*x'];
export const TEXTS = ['', 'ann@inside.example', 'eve@outside.example', 'a*b', '🙂 x', 'x\\y"z\n'];
export const URIS = ['mail://a', 'files://b/c', 'shop://drafts/1'];
export const TAGS = ['a', 'b', 'ü'];
export const AMOUNTS = [0, 1, 7, 100, -3, 9007199254740991];
export const ORIGINS = ['user', 'trusted', 'pointed', 'named', 'field', 'text', 'nowhere'];
export const TRUSTS = ['trusted', 'internal', 'untrusted'];
export const PURPOSES = ['look', 'pay bills'];
export const TEMPLATES = ['orders', 'other'];
export const ISSUERS = ['https://idp.example', 'https://other.example'];
export const SUBJECTS = ['alice', 'bob'];
export const GROUPS = ['support', 'finance', 'nobody'];

type Parts = { readonly [K in keyof Question]: (draw: Draw, so: Question) => Question[K] };

/**
 * A question about one item. Each of its parts is fit in most cases, so that each gate comes to decide; every second question is the one before
 * with one part drawn anew, as most faults of remembering show between two that are nearly alike.
 */
export function drawQuestion(draw: Draw, estate: Estate, before: Question | undefined): Question {
  const parts = partsOf(estate);
  if (before !== undefined && draw.onceIn(2)) {
    const changed = draw.of(Object.keys(parts) as (keyof Question)[]);
    const again = { ...before, [changed]: parts[changed](draw, before) } as Question;
    return changed === 'item' ? withArguments(draw, again) : again;
  }
  const users = draw.onceIn(3) ? undefined : drawPerson(draw);
  const agent = draw.of(AGENTS);
  const start = { caller: { user: users, agent, actors: [], tenant: 'default', task: 't1' } } as unknown as Question;
  let question = start;
  for (const name of [
    'action',
    'now',
    'environment',
    'item',
    'task',
    'caller',
    'template',
    'status',
    'hasDrifted',
    'callsLeft',
    'labels',
  ] as const) {
    question = { ...question, [name]: parts[name](draw, question) };
  }
  return withArguments(draw, question);
}

const withArguments = (draw: Draw, question: Question): Question => ({
  ...question,
  args: drawArguments(draw, question.item.profile),
  provenance: drawProvenance(draw, question.item.profile),
});

function partsOf(estate: Estate): Parts {
  const connectors = estate.connectors.map(({ id }) => `${id}/*`);
  const refs = itemsOf(estate).map(({ ref }) => ref);
  return {
    action: (draw) => draw.of(['call', 'call', 'call', 'discover'] as const),
    now: (draw) =>
      draw.onceIn(40) ? draw.of([Number.NaN, Number.POSITIVE_INFINITY, NOW - 302_000, NOW - 299_000]) : NOW,
    environment: (draw) => draw.of(ENVIRONMENTS),
    caller: (draw, { caller }) => ({
      tenant: draw.onceIn(60) ? 'other' : 'default',
      user: redrawPerson(draw, caller.user),
      agent: draw.onceIn(30) ? draw.of([...AGENTS, STRANGER]) : caller.agent,
      actors: draw.onceIn(2) ? [] : draw.some(draw.onceIn(20) ? [STRANGER, ...AGENTS] : AGENTS).slice(0, 2),
      task: draw.onceIn(60) ? 't2' : 't1',
    }),
    task: (draw, { caller }) => ({
      id: 't1',
      tenant: 'default',
      agent: draw.onceIn(20) ? draw.of(AGENTS) : caller.agent,
      user: caller.user,
      template: draw.onceIn(8) ? 'other' : 'orders',
      purpose: draw.of(PURPOSES),
      bounds: drawBounds(draw, connectors, refs, 10),
      state: draw.onceIn(30) ? draw.of(['suspended', 'ended']) : 'active',
      startedAt: NOW - draw.of([0, 1_000, 3_600_000]),
      expiresAt: NOW + draw.of([600_000, 1_000, 600_000, draw.onceIn(8) ? 0 : 5_000]),
    }),
    template: (draw, { task }) =>
      draw.onceIn(40)
        ? undefined
        : {
            id: draw.onceIn(30) ? draw.of(TEMPLATES) : task.template,
            agents: draw.onceIn(10) ? draw.some(AGENTS) : AGENTS,
            bounds: drawBounds(draw, connectors, refs, draw.of([10, 10, 12, 5])),
            maxDurationSeconds: draw.of([3_601, 7_200, 7_200, draw.onceIn(6) ? 1 : 7_200]),
            requiresUser: draw.onceIn(12),
          },
    item: (draw) => draw.of(itemsOf(estate)),
    status: (draw) => (draw.onceIn(40) ? draw.of(['undescribed', 'quarantined', 'suspended']) : 'described'),
    hasDrifted: (draw) => draw.onceIn(60),
    args: (draw, { item }) => drawArguments(draw, item.profile),
    callsLeft: (draw) =>
      draw.onceIn(20) ? draw.of([0, -1, Number.NaN, 1.5]) : draw.of([10, 7, 6, 5, 1, 'not counted' as const]),
    labels: (draw) => ({ trust: draw.of(TRUSTS), dataClasses: draw.some(DATA_CLASSES), zones: draw.some(ZONES) }),
    provenance: (draw, { item }) => drawProvenance(draw, item.profile),
  };
}

const drawPerson = (draw: Draw): Person => ({
  issuer: draw.of(ISSUERS),
  subject: draw.of(SUBJECTS),
  groups: draw.some(GROUPS),
});

/** Mostly the one whom the task is for, in other groups perhaps. */
function redrawPerson(draw: Draw, user: Person | undefined): Person | undefined {
  if (draw.onceIn(40)) return draw.onceIn(3) ? undefined : drawPerson(draw);
  return user && { ...user, groups: draw.some(GROUPS) };
}

function drawBounds(draw: Draw, connectors: readonly string[], refs: readonly string[], calls: number): Bounds {
  return {
    tools: draw.onceIn(4) ? [...draw.some(connectors), ...draw.most(refs)] : draw.most(connectors),
    actionClasses: draw.onceIn(4) ? draw.most(CLASSES) : CLASSES,
    calls,
  };
}

function drawProvenance(draw: Draw, { critical }: Profile): Record<string, string> {
  return Object.fromEntries(draw.most(critical).map((name) => [name, draw.of(ORIGINS)]));
}

function drawArguments(draw: Draw, { args }: Profile): unknown {
  if (draw.onceIn(80)) return draw.of([undefined, null, [], 'text']);
  const values: Record<string, unknown> = draw.onceIn(8) ? { other: 1 } : {};
  for (const { name, type, required } of args) {
    if (!required && draw.onceIn(3)) continue;
    values[name] = draw.onceIn(60) ? draw.of(UNFIT) : drawValue(draw, type, name);
  }
  const [first] = args;
  if (first !== undefined && draw.onceIn(60)) {
    delete values[first.name];
    if (draw.onceIn(2)) values[first.name.toUpperCase()] = drawValue(draw, first.type, first.name);
  }
  return values;
}

const UNFIT = [
  null,
  {},
  1.5,
  2 ** 53,
  '/a/../b',
  '/a//b',
  'a/b',
  '/a/',
  '/a\\b',
  '\ud800',
  ['a', 1],
  true,
  -1,
  '/ok',
  [],
];

function drawValue(draw: Draw, type: string, name: string): unknown {
  switch (type) {
    case 'path':
      return draw.of(PATHS);
    case 'long':
      return draw.of(AMOUNTS);
    case 'boolean':
      return draw.onceIn(2);
    case 'string[]':
      return draw.some(TAGS);
    default:
      return draw.of(name === 'uri' ? URIS : TEXTS);
  }
}
