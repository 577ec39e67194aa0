import type { Entity, Expression, Pattern, Policy, Scope, Terms } from './world.ts';

/** A policy of the model as Cedar's text: all that the two sides share. */
export function writeCedar(policy: Policy): string {
  const { id, effect, principal, action, resource, clauses, reason, next, stepUp } = policy;
  const annotations = [
    `@id(${text(id)})`,
    reason === undefined ? '' : `@reason(${text(reason)})`,
    next === undefined ? '' : `@next(${text(next)})`,
    stepUp === undefined ? '' : `@step_up(${text(termsText(stepUp))})`,
  ];
  const scope = [scopeText('principal', principal), scopeText('action', action), scopeText('resource', resource)];
  const conditions = clauses.map(({ kind, body }) => `${kind} { ${write(body)} }`);
  return `${annotations.join(' ')}\n${effect} (${scope.join(', ')}) ${conditions.join(' ')};`;
}

function termsText({ groups, count, expiresSeconds, limit, barred }: Terms): string {
  const words = [`count=${count}`, `expires=${expiresSeconds}s`, `limit=${limit}`];
  if (groups.length > 0) words.push(`approvers=${groups.join(',')}`);
  if (barred.length > 0) words.push(`not=${barred.join(',')}`);
  return words.join(' ');
}

function scopeText(name: string, { type, of }: Scope): string {
  const is = type === undefined ? '' : ` is Remit::${type}`;
  if (of === undefined) return `${name}${is}`;
  const [first, ...others] = of.entities.map(entityText);
  return `${name}${is} ${of.how} ${others.length === 0 ? first : `[${[first, ...others].join(', ')}]`}`;
}

const entityText = ({ type, id }: Entity): string => `Remit::${type}::${text(id)}`;

/** Every character that is not plain is written by its number. */
function text(value: string): string {
  return `"${[...value].map((one) => (/[A-Za-z0-9 _\-:/#.@=,*]/.test(one) ? one : `\\u{${one.codePointAt(0)?.toString(16)}}`)).join('')}"`;
}

function pattern(parts: Pattern): string {
  const inner = parts.map((part) => (typeof part === 'string' ? text(part).slice(1, -1).replaceAll('*', '\\*') : '*'));
  return `"${inner.join('')}"`;
}

function write(expression: Expression): string {
  switch (expression.is) {
    case 'literal':
      return typeof expression.value === 'string' ? text(expression.value) : `(${expression.value})`;
    case 'entity':
      return entityText(expression.entity);
    case 'set':
      return `[${expression.members.map(write).join(', ')}]`;
    case 'variable':
      return expression.name;
    case 'attribute':
      return `${write(expression.of)}[${text(expression.name)}]`;
    case 'has':
      return `(${write(expression.of)} has ${text(expression.name)})`;
    case '!':
      return `(!(${write(expression.of)}))`;
    case 'negative':
      return `(-(${write(expression.of)}))`;
    case 'isEmpty':
      return `${write(expression.of)}.isEmpty()`;
    case 'if':
      return `(if ${write(expression.test)} then ${write(expression.yes)} else ${write(expression.no)})`;
    case 'like':
      return `(${write(expression.of)} like ${pattern(expression.pattern)})`;
    case 'is': {
      const { of, type, within } = expression;
      return `(${write(of)} is Remit::${type}${within === undefined ? '' : ` in ${write(within)}`})`;
    }
    case 'contains':
    case 'containsAll':
    case 'containsAny':
      return `${write(expression.left)}.${expression.is}(${write(expression.right)})`;
    default:
      return `(${write(expression.left)} ${expression.is} ${write(expression.right)})`;
  }
}
