import type { TypeAndId } from '@cedar-policy/cedar-wasm/nodejs';
import type { AccessRequest } from '../../domain/decision.ts';
import { NAMESPACE, uid } from './cedar-names.ts';
import {
  applyTo,
  asTruth,
  type Code,
  constantOf,
  evaluate,
  isConstant,
  isEntity,
  isEqual,
  notReadHere,
  type Run,
  truth,
  type Value,
} from './code.ts';
import { compileContextHas, compileContextRead } from './context-path.ts';
import { type EntityFacts, factsOf } from './entity-facts.ts';
import { compileLike } from './like-pattern.ts';
import type { Estate } from './policy-inventory.ts';

/** What an expression is about: a question whose action and resource, and whose kind of principal, are known. */
export interface Question {
  readonly estate: Estate;
  readonly kind: AccessRequest['subject']['kind'];
  readonly isCall: boolean;
  readonly action: TypeAndId;
  readonly resource: TypeAndId;
}

type Node = Readonly<Record<string, unknown>>;
type Operator = (body: Node, question: Question, depth: number) => Code;

/** Deeper ones are left to Cedar, which has a limit of its own. */
const MAX_DEPTH = 48;

/**
 * Compiles a closed subset of Cedar's expressions: what policies on arguments are written in. Whatever is not certain to mean here what it means
 * to Cedar is left out when it is compiled, or is undefined when it is run: errors above all, which are Cedar's to find.
 * @throws what `isNotReadHere` knows, for an expression outside the subset
 */
export function compileExpression(node: unknown, question: Question, depth = 0): Code {
  if (depth > MAX_DEPTH || typeof node !== 'object' || node === null) return notReadHere('depth');
  const [entry, ...others] = Object.entries(node);
  if (entry === undefined || others.length > 0) return notReadHere('shape');
  const [name, body] = entry;
  if (name === 'Value') return { constant: readLiteral(body) };
  if (name === 'Var') return compileVariable(body, question);
  if (name === 'Set') return compileSet(body, question, depth);
  const operator = Object.hasOwn(OPERATORS, name) ? OPERATORS[name] : undefined;
  return operator === undefined || typeof body !== 'object' || body === null
    ? notReadHere(name)
    : operator(body as Node, question, depth + 1);
}

function readLiteral(value: unknown): Value {
  if (typeof value === 'string' || typeof value === 'boolean' || Number.isSafeInteger(value)) return value as Value;
  return readEntity(value);
}

function readEntity(value: unknown): TypeAndId {
  const entity = (value as { __entity?: Partial<TypeAndId> } | null)?.__entity;
  if (typeof entity?.type !== 'string' || typeof entity.id !== 'string') return notReadHere('literal');
  return { type: entity.type, id: entity.id };
}

const PRINCIPAL_TYPES = { user: uid('User', '').type, agent: uid('Agent', '').type };

function compileVariable(name: unknown, { kind, action, resource }: Question): Code {
  if (name === 'action') return { constant: action };
  if (name === 'resource') return { constant: resource };
  const type = PRINCIPAL_TYPES[kind];
  // The context as one value is not read here.
  return name === 'principal' ? { run: ({ subject }) => ({ type, id: subject.id }) } : notReadHere('context');
}

function compileSet(body: unknown, question: Question, depth: number): Code {
  if (!Array.isArray(body)) return notReadHere('Set');
  const members = body.map((member) => compileExpression(member, question, depth + 1));
  const run: Run = (request) => {
    const values: Value[] = [];
    for (const member of members) {
      const value = evaluate(member, request);
      // Sets of sets are not read here.
      if (value === undefined || Array.isArray(value)) return undefined;
      values.push(value);
    }
    return values;
  };
  if (!members.every(isConstant)) return { run };
  const values = members.map(({ constant }) => constant);
  return values.some(Array.isArray) ? notReadHere('Set') : { constant: values };
}

const unary =
  (apply: (value: Value) => Value | undefined): Operator =>
  (body, question, depth) =>
    applyTo(compileExpression(only(body, 'arg').arg, question, depth), apply);

function binary(apply: (left: Value, right: Value) => Value | undefined): Operator {
  return (body, question, depth) => {
    const { left, right } = only(body, 'left', 'right');
    const first = compileExpression(left, question, depth);
    const second = compileExpression(right, question, depth);
    if (isConstant(first) && isConstant(second)) return constantOf(apply(first.constant, second.constant));
    return {
      run: (request) => {
        const one = evaluate(first, request);
        const other = evaluate(second, request);
        return one === undefined || other === undefined ? undefined : apply(one, other);
      },
    };
  };
}

/** `&&` stops at false and `||` at true: what is not reached can be no error. */
function connective(stop: boolean): Operator {
  return (body, question, depth) => {
    const { left, right } = only(body, 'left', 'right');
    const first = compileExpression(left, question, depth);
    if (isConstant(first) && first.constant === stop) return first;
    const second = compileExpression(right, question, depth);
    if (isConstant(first)) return first.constant === !stop ? truth(second) : notReadHere('type');
    return {
      run: (request) => {
        const value = first.run(request);
        if (value === stop) return stop;
        return value === !stop ? asTruth(evaluate(second, request)) : undefined;
      },
    };
  };
}

const compileChoice: Operator = (body, question, depth) => {
  const parts = only(body, 'if', 'then', 'else');
  const test = truth(compileExpression(parts.if, question, depth));
  if (isConstant(test)) return compileExpression(test.constant ? parts.then : parts.else, question, depth);
  const [yes, no] = [parts.then, parts.else].map((part) => compileExpression(part, question, depth)) as [Code, Code];
  return {
    run: (request) => {
      const value = test.run(request);
      return value === undefined ? undefined : evaluate(value === true ? yes : no, request);
    },
  };
};

const compare = (holds: (left: number, right: number) => boolean): Operator =>
  binary((left, right) => (typeof left === 'number' && typeof right === 'number' ? holds(left, right) : undefined));

function contains(set: Value, member: Value): boolean | undefined {
  if (!Array.isArray(set) || Array.isArray(member)) return undefined;
  return (set as readonly Value[]).some((one) => isEqual(one, member) === true);
}

const containsMany = (how: 'every' | 'some'): Operator =>
  binary((set, members) =>
    Array.isArray(set) && Array.isArray(members)
      ? (members as Value[])[how]((member) => contains(set, member) === true)
      : undefined,
  );

const compileLikeTest: Operator = (body, question, depth) => {
  const { left, pattern } = only(body, 'left', 'pattern');
  const matches = compileLike(pattern) ?? notReadHere('pattern');
  return applyTo(compileExpression(left, question, depth), (text) =>
    typeof text === 'string' ? matches(text) : undefined,
  );
};

const compileAttribute: Operator = (body, question, depth) => {
  const { left, attr } = only(body, 'left', 'attr');
  if (typeof attr !== 'string') return notReadHere('attr');
  const path = contextPath(left);
  if (path !== undefined) return { run: compileContextRead([...path, attr], question.isCall) ?? notReadHere('path') };
  return applyTo(compileExpression(left, question, depth), (entity) => {
    const attributes = factsOfValue(question, entity)?.attributes;
    return attributes !== undefined && Object.hasOwn(attributes, attr) ? attributes[attr] : undefined;
  });
};

const compileHas: Operator = (body, question, depth) => {
  const { left, attr } = only(body, 'left', 'attr');
  const path = contextPath(left);
  if (path !== undefined) {
    const names = Array.isArray(attr) ? attr : [attr];
    return compileContextHas(path, names as string[], question.isCall) ?? notReadHere('path');
  }
  if (typeof attr !== 'string') return notReadHere('attr');
  return applyTo(compileExpression(left, question, depth), (entity) =>
    isEntity(entity) ? Object.hasOwn(factsOfValue(question, entity)?.attributes ?? {}, attr) : undefined,
  );
};

/** `a`, `b` of `context.a.b`; undefined for what does not start at the context. */
function contextPath(node: unknown): readonly string[] | undefined {
  const { Var: variable, '.': access } = node as { Var?: unknown; '.'?: { left: unknown; attr: string } };
  if (variable === 'context') return [];
  const path = access && contextPath(access.left);
  return path && [...path, access.attr];
}

const compileIs: Operator = (body, question, depth) => {
  const { left, entity_type: type, in: within } = body;
  if (Object.keys(body).some((key) => !['left', 'entity_type', 'in'].includes(key))) return notReadHere('is');
  const entity = compileExpression(left, question, depth);
  const isOfType = applyTo(entity, (value) => (isEntity(value) ? value.type === type : undefined));
  if (within === undefined) return isOfType;
  const isWithin = compileWithin(entity, within, question);
  return {
    run: (request) => {
      const value = evaluate(isOfType, request);
      return value === true ? evaluate(isWithin, request) : value;
    },
  };
};

const compileIn: Operator = (body, question, depth) => {
  const { left, right } = only(body, 'left', 'right');
  return compileWithin(compileExpression(left, question, depth), right, question);
};

/** An entity is in itself and in all above it. The right side must be written out: entities, no expression. */
function compileWithin(entity: Code, right: unknown, question: Question): Code {
  const { Value: one, Set: many } = right as { Value?: unknown; Set?: unknown };
  const members = one !== undefined ? [right] : Array.isArray(many) ? many : notReadHere('in');
  const targets = members.map((member) => readEntity((member as { Value?: unknown }).Value));
  const isAt = (value: TypeAndId) => targets.some((target) => isEqual(target, value) === true);
  const groups = new Set(targets.filter(({ type }) => type === `${NAMESPACE}::Group`).map(({ id }) => id));
  const isWithin = (value: Value | undefined, request?: AccessRequest): boolean | undefined => {
    if (!isEntity(value)) return undefined;
    if (isAt(value)) return true;
    if (value.type !== PRINCIPAL_TYPES.user) return factsOfValue(question, value)?.parents.some(isAt) ?? false;
    // Of users only the one who asks is known, and by the request alone.
    const subject = request?.subject;
    if (subject?.kind !== 'user' || subject.id !== value.id) return false;
    return subject.groups.some((group) => groups.has(group));
  };
  if (isConstant(entity) && isEntity(entity.constant) && entity.constant.type !== PRINCIPAL_TYPES.user)
    return constantOf(isWithin(entity.constant));
  return { run: (request) => isWithin(evaluate(entity, request), request) };
}

function factsOfValue({ estate }: Question, value: Value | undefined): EntityFacts | undefined {
  return isEntity(value) ? factsOf(estate, value) : undefined;
}

/** The parts of an operator that has exactly these: a further one would mean something that is not known here. */
function only(body: Node, ...names: string[]): Node {
  const keys = Object.keys(body);
  return keys.length === names.length && names.every((name) => Object.hasOwn(body, name)) ? body : notReadHere('parts');
}

const OPERATORS: Readonly<Record<string, Operator>> = {
  '!': unary((value) => (typeof value === 'boolean' ? !value : undefined)),
  isEmpty: unary((value) => (Array.isArray(value) ? value.length === 0 : undefined)),
  '&&': connective(false),
  '||': connective(true),
  'if-then-else': compileChoice,
  '==': binary(isEqual),
  '!=': binary((left, right) => {
    const same = isEqual(left, right);
    return same === undefined ? undefined : !same;
  }),
  '<': compare((left, right) => left < right),
  '<=': compare((left, right) => left <= right),
  '>': compare((left, right) => left > right),
  '>=': compare((left, right) => left >= right),
  contains: binary(contains),
  containsAll: containsMany('every'),
  containsAny: containsMany('some'),
  like: compileLikeTest,
  '.': compileAttribute,
  has: compileHas,
  is: compileIs,
  in: compileIn,
};
