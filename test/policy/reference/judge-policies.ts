import type { Entity, Estate, Expression, Pattern, Policy, Profile, Question, Scope } from './world.ts';

/** Policies of an estate, interpreted from their tree: every one of them, for every question, from nothing. Slow on purpose. */

export interface Subject {
  readonly kind: 'user' | 'agent';
  readonly id: string;
  /** `issuer#group`. */
  readonly groups: readonly string[];
}

export interface PolicyVerdict {
  readonly verdict: 'permit' | 'deny' | 'step_up';
  /** In the order in which they are written; undefined where a policy failed. */
  readonly by: readonly Policy[] | undefined;
}

type Value = string | bigint | boolean | Entity | SetValue | RecordValue;
interface SetValue {
  readonly members: readonly Value[];
}
interface RecordValue {
  readonly fields: ReadonlyMap<string, Value>;
}

interface Facts {
  readonly estate: Estate;
  readonly subject: Subject;
  readonly principal: Entity;
  readonly action: Entity;
  readonly resource: Entity;
  readonly context: RecordValue;
}

class PolicyFails extends Error {}

function fail(why: string): never {
  throw new PolicyFails(why);
}

/** A forbid wins over any permit, no permit denies, and a policy that fails denies (D1). What is only forbidden until people agree is held, where something permits it. */
export function judgePolicies(
  estate: Estate,
  policies: readonly Policy[],
  question: Question,
  subject: Subject,
): PolicyVerdict {
  const known = estate.connectors.flatMap(({ items }) => items).some(({ ref }) => ref === question.item.ref);
  const isRegistered = subject.kind === 'user' || estate.agents.some(({ id }) => id === subject.id);
  if (!known || !isRegistered || question.hasDrifted) return { verdict: 'deny', by: [] };
  const facts = factsOf(estate, question, subject);
  let applying: Policy[];
  try {
    applying = policies.filter((policy) => applies(policy, facts));
  } catch (error) {
    if (error instanceof PolicyFails) return { verdict: 'deny', by: undefined };
    throw error;
  }
  const permits = applying.filter(({ effect }) => effect === 'permit');
  const forbids = applying.filter(({ effect }) => effect === 'forbid');
  const isPermitted = permits.length > 0;
  if (forbids.length === 0) return isPermitted ? { verdict: 'permit', by: permits } : { verdict: 'deny', by: [] };
  if (forbids.some(({ stepUp }) => stepUp === undefined)) return { verdict: 'deny', by: forbids };
  // All that stands in the way can be lifted.
  if (!isPermitted) return { verdict: 'deny', by: [] };
  return question.action === 'discover' ? { verdict: 'permit', by: permits } : { verdict: 'step_up', by: forbids };
}

function factsOf(estate: Estate, question: Question, subject: Subject): Facts {
  return {
    estate,
    subject,
    principal: { type: subject.kind === 'user' ? 'User' : 'Agent', id: subject.id },
    action: { type: 'Action', id: question.action === 'discover' ? 'discover' : question.item.ref },
    resource: { type: 'Tool', id: question.item.ref },
    context: contextOf(question),
  };
}

const texts = (list: readonly string[]): SetValue => ({ members: [...list] });
const record = (fields: Readonly<Record<string, Value>>): RecordValue => ({ fields: new Map(Object.entries(fields)) });

function contextOf(question: Question): RecordValue {
  const { task, caller, labels } = question;
  const fields: Record<string, Value> = {
    task: record({
      id: task.id,
      template: task.template,
      purpose: task.purpose,
      startedAt: BigInt(task.startedAt),
      expiresAt: BigInt(task.expiresAt),
    }),
    environment: question.environment,
  };
  const { user } = caller;
  if (user !== undefined) fields.user = record({ issuer: user.issuer, subject: user.subject });
  if (question.action === 'call') {
    fields.args = record(describedArguments(question.item.profile, question.args));
    fields.labels = record({
      trust: labels.trust,
      dataClasses: texts(labels.dataClasses),
      zones: texts(labels.zones),
    });
    fields.provenance = record(question.provenance);
  }
  return record(fields);
}

/** Only what the profile describes; by then the arguments have been found to be readable. */
function describedArguments({ args }: Profile, given: unknown): Record<string, Value> {
  const values: Record<string, Value> = {};
  for (const { name } of args) {
    const value = (given as Record<string, unknown> | undefined)?.[name];
    if (value === undefined) continue;
    if (Array.isArray(value)) values[name] = texts(value as string[]);
    else values[name] = typeof value === 'number' ? BigInt(value) : (value as string | boolean);
  }
  return values;
}

function applies(policy: Policy, facts: Facts): boolean {
  const { principal, action, resource } = facts;
  if (!matches(policy.principal, principal, facts)) return false;
  if (!matches(policy.action, action, facts) || !matches(policy.resource, resource, facts)) return false;
  for (const { kind, body } of policy.clauses) {
    if (truth(evaluate(body, facts)) !== (kind === 'when')) return false;
  }
  return true;
}

function matches({ type, of }: Scope, entity: Entity, facts: Facts): boolean {
  if (type !== undefined && entity.type !== type) return false;
  if (of === undefined) return true;
  return of.entities.some((one) => (of.how === '==' ? isSame(entity, one) : isWithin(entity, one, facts)));
}

const isEntity = (value: Value): value is Entity => typeof value === 'object' && 'type' in value;
const truth = (value: Value): boolean => (typeof value === 'boolean' ? value : fail('not true or false'));
const entity = (value: Value): Entity => (isEntity(value) ? value : fail('no entity'));
const members = (value: Value): readonly Value[] =>
  typeof value === 'object' && 'members' in value ? value.members : fail('no set');

function integer(value: Value): bigint {
  return typeof value === 'bigint' ? value : fail('no number');
}

function isSame(one: Value, other: Value): boolean {
  if (typeof one !== 'object' || typeof other !== 'object') return one === other;
  if ('members' in one && 'members' in other) return isSubset(one, other) && isSubset(other, one);
  if ('type' in one && 'type' in other) return one.type === other.type && one.id === other.id;
  if ('fields' in one && 'fields' in other) {
    const [left, right] = [one.fields, other.fields];
    const isEqual = ([name, value]: [string, Value]) => right.has(name) && isSame(value, right.get(name) as Value);
    return left.size === right.size && [...left].every(isEqual);
  }
  return false;
}

const isMember = (set: SetValue, member: Value) => set.members.some((one) => isSame(one, member));
const isSubset = (part: SetValue, whole: SetValue) => part.members.every((one) => isMember(whole, one));

/** An entity is in itself and in all that it is a member of. */
function isWithin(one: Entity, other: Entity, facts: Facts): boolean {
  return isSame(one, other) || parentsOf(one, facts).some((parent) => isWithin(parent, other, facts));
}

function parentsOf({ type, id }: Entity, { estate, subject }: Facts): Entity[] {
  const item = estate.connectors.flatMap(({ items }) => items).find(({ ref }) => ref === id);
  if (type === 'User') {
    return subject.kind === 'user' && subject.id === id
      ? subject.groups.map((group) => ({ type: 'Group', id: group }))
      : [];
  }
  if (type === 'Tool') return item === undefined ? [] : [{ type: 'Connector', id: item.connector }];
  if (type !== 'Action' || id === 'call' || id === 'discover') return [];
  return [{ type, id: item === undefined ? 'call' : item.profile.actionClass }];
}

function attributesOf({ type, id }: Entity, { estate }: Facts): Readonly<Record<string, Value>> {
  const owned = (type === 'Agent' ? estate.agents : type === 'Connector' ? estate.connectors : []).find(
    (one) => one.id === id,
  );
  if (owned !== undefined) return { owner: owned.owner, environment: owned.environment, zone: owned.zone };
  const item = estate.connectors.flatMap(({ items }) => items).find(({ ref }) => ref === id);
  if (type !== 'Tool' || item === undefined) return {};
  const { actionClass, dataClasses, reversible, sink = 'none' } = item.profile;
  return {
    connector: { type: 'Connector', id: item.connector },
    actionClass,
    dataClasses: texts(dataClasses),
    reversible,
    sink,
  };
}

function fieldOf(value: Value, name: string, facts: Facts): Value | undefined {
  if (typeof value !== 'object') return fail('neither an entity nor a record');
  if ('fields' in value) return value.fields.get(name);
  return isEntity(value) ? attributesOf(value, facts)[name] : fail('neither an entity nor a record');
}

function evaluate(expression: Expression, facts: Facts): Value {
  const value = (part: Expression): Value => evaluate(part, facts);
  switch (expression.is) {
    case 'literal':
      return expression.value;
    case 'entity':
      return expression.entity;
    case 'set':
      return { members: expression.members.map(value) };
    case 'variable':
      return facts[expression.name];
    case 'attribute':
      return fieldOf(value(expression.of), expression.name, facts) ?? fail('no such attribute');
    case 'has':
      return fieldOf(value(expression.of), expression.name, facts) !== undefined;
    case '!':
      return !truth(value(expression.of));
    case 'negative':
      return exact(-integer(value(expression.of)));
    case 'isEmpty':
      return members(value(expression.of)).length === 0;
    case 'if':
      return truth(value(expression.test)) ? value(expression.yes) : value(expression.no);
    case 'like': {
      const text = value(expression.of);
      return typeof text === 'string' ? isLike([...text], expression.pattern) : fail('no text');
    }
    case 'is': {
      const one = entity(value(expression.of));
      if (one.type !== expression.type) return false;
      return expression.within === undefined || isWithin(one, entity(value(expression.within)), facts);
    }
    // What is not reached cannot fail.
    case '&&':
      return truth(value(expression.left)) && truth(value(expression.right));
    case '||':
      return truth(value(expression.left)) || truth(value(expression.right));
    default:
      return combine(expression.is, value(expression.left), value(expression.right), facts);
  }
}

function combine(operator: string, left: Value, right: Value, facts: Facts): Value {
  switch (operator) {
    case '==':
      return isSame(left, right);
    case '!=':
      return !isSame(left, right);
    case '<':
      return integer(left) < integer(right);
    case '<=':
      return integer(left) <= integer(right);
    case '>':
      return integer(left) > integer(right);
    case '>=':
      return integer(left) >= integer(right);
    case '+':
      return exact(integer(left) + integer(right));
    case '-':
      return exact(integer(left) - integer(right));
    case '*':
      return exact(integer(left) * integer(right));
    case 'contains':
      return isMember({ members: members(left) }, right);
    case 'containsAll':
      return isSubset({ members: members(right) }, { members: members(left) });
    case 'containsAny':
      return members(right).some((one) => isMember({ members: members(left) }, one));
    case 'in': {
      const targets = isEntity(right) ? [right] : members(right).map(entity);
      return targets.some((target) => isWithin(entity(left), target, facts));
    }
    default:
      return fail(operator);
  }
}

/** Numbers have 64 bits; one that needs more is an error. */
function exact(number: bigint): bigint {
  return BigInt.asIntN(64, number) === number ? number : fail('overflow');
}

function isLike(text: readonly string[], [first, ...rest]: Pattern): boolean {
  if (first === undefined) return text.length === 0;
  if (typeof first !== 'string') {
    return Array.from({ length: text.length + 1 }).some((_, skipped) => isLike(text.slice(skipped), rest));
  }
  const piece = [...first];
  return piece.every((character, at) => text[at] === character) && isLike(text.slice(piece.length), rest);
}
