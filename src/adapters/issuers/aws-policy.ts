import { RemitError } from '../../domain/errors.ts';
import type { ActionClass } from '../../domain/tool.ts';
import { asksForNothing } from './choose-rule.ts';
import { covers } from './oauth-scope.ts';

/** A statement that a task's session policy may have. */
export interface AwsStatement {
  /** Action classes that it is for: one of them in the task is enough. */
  readonly classes: readonly ActionClass[];
  /** As in a policy: `s3:GetObject`. */
  readonly actions: readonly string[];
  /** ARNs. `{resource}` stands for each of the task's resources. */
  readonly resources: readonly string[];
  /** Which of the task's resources it takes, `*` at the end for all that start so; undefined: all. */
  readonly for?: readonly string[] | undefined;
  /** As in a policy. */
  readonly condition?: Readonly<Record<string, unknown>> | undefined;
}

export interface SessionPolicy {
  /** JSON. */
  readonly text: string;
  /** For people. */
  readonly summary: string;
}

const PLACEHOLDER = '{resource}';
/** Of an inline session policy (AssumeRole, `Policy`). */
const MOST_CHARACTERS = 2_048;
/** What may stand in one, but for tabs and line ends, which no resource has. */
const ALLOWED = /^[ -~\u00a0-\u00ff]+$/;

/** Rights are those of the role *and* of this: what it does not name, the session has not. */
const NOTHING: SessionPolicy = {
  text: JSON.stringify({ Version: '2012-10-17', Statement: [{ Effect: 'Deny', Action: '*', Resource: '*' }] }),
  summary: 'no rights',
};

/**
 * The configured statements of the task's classes, on the task's resources alone.
 * @throws `ERR_CREDENTIAL_ISSUE` where none remains, for a resource that cannot stand in a policy, and for a policy that is too large
 */
export function sessionPolicy(
  statements: readonly AwsStatement[],
  request: { readonly resources: readonly string[]; readonly actionClasses: readonly ActionClass[] },
): SessionPolicy {
  if (asksForNothing(request)) return NOTHING;
  const granted = statements.flatMap((statement) => {
    if (!statement.classes.some((name) => request.actionClasses.includes(name))) return [];
    const resources = resourcesOf(statement, request.resources);
    return resources.length === 0 ? [] : [{ statement, resources }];
  });
  if (granted.length === 0) {
    throw new RemitError('ERR_CREDENTIAL_ISSUE', 'no statement has the task’s action classes and resources', {
      hint: 'Name resources in the task, and the class in one of credential.aws.statements. Nothing is opened unnamed.',
    });
  }
  const text = JSON.stringify({
    Version: '2012-10-17',
    Statement: granted.map(({ statement: { actions, condition }, resources }) => ({
      Effect: 'Allow',
      Action: actions,
      Resource: resources,
      ...(condition !== undefined && { Condition: condition }),
    })),
  });
  if (text.length > MOST_CHARACTERS) {
    throw new RemitError(
      'ERR_CREDENTIAL_ISSUE',
      `the session policy has ${text.length} characters; the most is ${MOST_CHARACTERS}`,
      { hint: 'Name fewer resources in the task, or end them with *.' },
    );
  }
  const summary = granted.map(
    ({ statement, resources }) => `${statement.actions.join(', ')} on ${resources.join(', ')}`,
  );
  return { text, summary: summary.join('; ') };
}

function resourcesOf(statement: AwsStatement, named: readonly string[]): string[] {
  const patterns = statement.for;
  const own =
    patterns === undefined ? named : named.filter((name) => patterns.some((pattern) => covers(pattern, name)));
  if (own.length === 0)
    return patterns === undefined ? statement.resources.filter((arn) => !arn.includes(PLACEHOLDER)) : [];
  const names = own.map(policyText);
  const all = statement.resources.flatMap((arn) =>
    arn.includes(PLACEHOLDER) ? names.map((name) => arn.split(PLACEHOLDER).join(name)) : [arn],
  );
  return [...new Set(all)];
}

/** `*` stays what it is in a task: any text. `?` and `$` would be a wildcard and a variable; they are written as themselves. */
function policyText(resource: string): string {
  if (ALLOWED.test(resource)) return resource.replace(/[?$]/g, (sign) => `\${${sign}}`);
  throw new RemitError('ERR_CREDENTIAL_ISSUE', `${JSON.stringify(resource)} cannot stand in a session policy`, {
    where: resource,
    hint: 'Printable characters of Latin-1 only.',
  });
}
