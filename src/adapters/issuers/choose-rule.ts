import { RemitError } from '../../domain/errors.ts';
import type { ActionClass } from '../../domain/tool.ts';
import { covers } from './oauth-scope.ts';

/** What one identity at a downstream is for, where rights hang on identities that somebody else keeps. */
export interface RightsRule {
  /** Action classes that it has the rights for. */
  readonly classes: readonly ActionClass[];
  /** Resources that it reaches, `*` at the end for all that start so. Undefined: resources do not narrow. */
  readonly resources?: readonly string[] | undefined;
}

/**
 * The first rule that has all of the task's classes which any rule has, and all of its resources. A class that no rule names opens nothing.
 * Rules are in the order of their owner: those that open least first.
 * @param where path of the rules in the configuration
 * @throws `ERR_CREDENTIAL_ISSUE` where none fits
 */
export function chooseRule<R extends RightsRule>(
  rules: readonly R[],
  {
    resources,
    actionClasses,
  }: { readonly resources: readonly string[]; readonly actionClasses: readonly ActionClass[] },
  where: string,
): R {
  const known = actionClasses.filter((name) => rules.some(({ classes }) => classes.includes(name)));
  if (known.length === 0) {
    throw new RemitError(
      'ERR_CREDENTIAL_ISSUE',
      `action classes ${actionClasses.join(', ') || '(none)'} come to nothing at this downstream`,
      { where, hint: `Name one of them in ${where}, or take the class out of the task.` },
    );
  }
  const found = rules.find(
    (rule) => known.every((name) => rule.classes.includes(name)) && reaches(rule.resources, resources),
  );
  if (found !== undefined) return found;
  throw new RemitError(
    'ERR_CREDENTIAL_ISSUE',
    `nothing in ${where} has ${known.join(', ')} on ${resources.join(', ').slice(0, 200) || 'no resource'}`,
    { where, hint: 'Name resources in the task, or a rule that has all of its classes and resources.' },
  );
}

function reaches(patterns: readonly string[] | undefined, resources: readonly string[]): boolean {
  if (patterns === undefined) return true;
  return resources.length > 0 && resources.every((name) => patterns.some((pattern) => covers(pattern, name)));
}

/** Whether an issue asks for nothing: the gateway's own listing, or a connection that only listens. */
export function asksForNothing(request: {
  readonly resources: readonly string[];
  readonly actionClasses: readonly ActionClass[];
}): boolean {
  return request.resources.length === 0 && request.actionClasses.length === 0;
}
