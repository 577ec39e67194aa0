import { judgePolicies, type Subject } from './judge-policies.ts';
import type { Bounds, Estate, Person, Policy, Profile, Question, Verdict } from './world.ts';

/**
 * The reference model of a decision (D6): what has to hold, in the order in which `docs/concepts.md` says it. The first that does not hold
 * decides; what all permit and some hold waits for people.
 */
export function judgeRequest(estate: Estate, policies: readonly Policy[], question: Question): Verdict {
  const broken = GATES.find(([, , holds]) => !holds(question));
  if (broken !== undefined) {
    const [gate, rule] = broken;
    return { verdict: 'deny', gate, policies: [rule], reason: undefined, next: undefined, terms: [] };
  }
  const answers = partiesOf(question).map(({ gate, subject }) => ({
    gate,
    ...judgePolicies(estate, policies, question, subject),
  }));
  const denied = answers.find(({ verdict }) => verdict === 'deny');
  if (denied !== undefined) {
    const { gate, by } = denied;
    const told = { reason: firstOf(by ?? [], 'reason'), next: firstOf(by ?? [], 'next') };
    return { verdict: 'deny', gate, policies: by?.map(({ id }) => id), ...told, terms: [] };
  }
  const holds = answers.filter(({ verdict }) => verdict === 'step_up');
  const [first] = holds;
  const decisive = first === undefined ? answers : holds;
  const by = uniqueById(decisive.flatMap(({ by = [] }) => by));
  const terms =
    first === undefined ? [] : by.flatMap(({ id, stepUp }) => (stepUp === undefined ? [] : [{ by: id, ...stepUp }]));
  return {
    verdict: first === undefined ? 'permit' : 'step_up',
    gate: first?.gate ?? (answers.at(-1) as { gate: string }).gate,
    policies: by.map(({ id }) => id),
    reason: undefined,
    next: undefined,
    terms,
  };
}

/** Rights are asked for every party of its own, and all must have them (D3). */
function partiesOf({ caller }: Question): { gate: string; subject: Subject }[] {
  const { user, agent, actors } = caller;
  const asAgent = (id: string): Subject => ({ kind: 'agent', id, groups: [] });
  return [
    ...(user === undefined ? [] : [{ gate: 'user_policy', subject: asUser(user) }]),
    { gate: 'agent_policy', subject: asAgent(agent) },
    ...actors.map((actor) => ({ gate: 'actor_policy', subject: asAgent(actor) })),
  ];
}

function asUser({ issuer, subject, groups }: Person): Subject {
  return { kind: 'user', id: `${issuer}#${subject}`, groups: groups.map((group) => `${issuer}#${group}`) };
}

const firstOf = (policies: readonly Policy[], what: 'reason' | 'next'): string | undefined =>
  policies.find((policy) => policy[what] !== undefined)?.[what];

const uniqueById = (policies: readonly Policy[]): Policy[] =>
  policies.filter(({ id }, at) => policies.findIndex((one) => one.id === id) === at);

/** A gate, its rule id, and what must hold. */
type Row = readonly [gate: string, rule: string, holds: (question: Question) => boolean];

const FIVE_MINUTES = 300_000;

const GATES: readonly Row[] = [
  ['fault', 'remit:clock', ({ now, task }) => Number.isFinite(now) && now >= task.startedAt - FIVE_MINUTES],
  ['profile', 'remit:quarantined', ({ status }) => status !== 'quarantined'],
  ['profile', 'remit:suspended', ({ status }) => status !== 'suspended'],
  ['profile', 'remit:undescribed', ({ status }) => status === 'described'],
  ['task', 'remit:task-principal', isOwnTask],
  ['task', 'remit:suspended', ({ task }) => task.state !== 'suspended'],
  ['task', 'remit:task-ended', ({ task, now }) => task.state === 'active' && now < task.expiresAt],
  ['task', 'remit:task-tool', ({ task, item }) => names(task.bounds, item.ref, item.connector)],
  ['task', 'remit:task-class', ({ task, item }) => task.bounds.actionClasses.includes(item.profile.actionClass)],
  ['task', 'remit:template', isWithinTemplate],
  ['budget', 'remit:budget', (question) => question.action === 'discover' || hasCallLeft(question)],
  ['arguments', 'remit:arguments', ({ action, item, args }) => action === 'discover' || isReadable(item.profile, args)],
];

function isOwnTask({ caller, task }: Question): boolean {
  const sameUser = caller.user?.issuer === task.user?.issuer && caller.user?.subject === task.user?.subject;
  const isParty = [caller.agent, ...caller.actors].includes(task.agent);
  return caller.task === task.id && caller.tenant === task.tenant && isParty && sameUser;
}

const names = ({ tools }: Bounds, ref: string, connector: string): boolean =>
  tools.some((pattern) => pattern === ref || pattern === `${connector}/*`);

function isWithinTemplate({ template, task, caller, item, now }: Question): boolean {
  if (template === undefined || template.id !== task.template) return false;
  return (
    template.agents.includes(task.agent) &&
    (!template.requiresUser || caller.user !== undefined) &&
    now < task.startedAt + template.maxDurationSeconds * 1000 &&
    names(template.bounds, item.ref, item.connector) &&
    template.bounds.actionClasses.includes(item.profile.actionClass)
  );
}

/** Under the task's own budget, and under the template's of now: what the task has used counts against both. */
function hasCallLeft({ callsLeft, task, template }: Question): boolean {
  if (callsLeft === 'not counted') return true;
  const used = task.bounds.calls - callsLeft;
  return (
    Number.isInteger(callsLeft) && callsLeft >= 1 && used < task.bounds.calls && used < (template?.bounds.calls ?? 0)
  );
}

function isReadable({ args }: Profile, given: unknown): boolean {
  if (given === undefined) return args.every(({ required }) => !required);
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return false;
  const values = given as Readonly<Record<string, unknown>>;
  return args.every(({ name, type, required }) => {
    const value = values[name];
    if (value !== undefined) return isOfType(value, type);
    // A server that does not mind the case would take another one for it.
    return !required && !Object.keys(values).some((key) => key.toLowerCase() === name.toLowerCase());
  });
}

function isOfType(value: unknown, type: string): boolean {
  switch (type) {
    case 'string':
      return isText(value);
    case 'long':
      return typeof value === 'number' && Number.isInteger(value) && Math.abs(value) <= 2 ** 53 - 1;
    case 'boolean':
      return value === true || value === false;
    case 'path':
      return isText(value) && isOnlySpelling(value);
    default:
      return Array.isArray(value) && value.every(isText);
  }
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && ![...value].some((character) => /^[\uD800-\uDFFF]$/.test(character));
}

/** Absolute, and of one spelling. */
function isOnlySpelling(path: string): boolean {
  if (path === '/') return true;
  const [before, ...segments] = path.split('/');
  return before === '' && segments.every((segment) => !['', '.', '..'].includes(segment) && !/[\\\0]/.test(segment));
}
