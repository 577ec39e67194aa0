import { RemitError } from '../../domain/errors.ts';
import type { ActionClass } from '../../domain/tool.ts';
import { asksForNothing } from './choose-rule.ts';
import { covers } from './oauth-scope.ts';

/** What a bucket opens for a class. Credential access boundaries are known to Cloud Storage alone. */
export interface GcpRule {
  /** Action classes that it is for: one of them in the task is enough. */
  readonly classes: readonly ActionClass[];
  readonly bucket: string;
  /** `roles/storage.objectViewer`: upper bounds on what the service account may do. */
  readonly roles: readonly string[];
  /** Name of an object, in which `{resource}` stands for each of the task's resources. Undefined: the whole bucket. */
  readonly objects?: string | undefined;
  /** Which of the task's resources it takes, `*` at the end for all that start so; undefined: all. */
  readonly for?: readonly string[] | undefined;
}

export interface AccessBoundary {
  /** JSON: `options` of the token exchange. */
  readonly text: string;
  /** For people. */
  readonly summary: string;
}

interface BoundaryRule {
  readonly availableResource: string;
  readonly availablePermissions: readonly string[];
  readonly availabilityCondition?: { readonly expression: string };
}

const PLACEHOLDER = '{resource}';
const MOST_RULES = 10;

/**
 * The configured rules of the task's classes, on the task's objects alone.
 * @throws `ERR_CREDENTIAL_ISSUE` where none remains, for a resource that is no object's name, and for more rules than a boundary has
 */
export function accessBoundary(
  rules: readonly GcpRule[],
  request: { readonly resources: readonly string[]; readonly actionClasses: readonly ActionClass[] },
): AccessBoundary {
  if (asksForNothing(request)) return { text: textOf(rules.slice(0, 1).map(nothingOf)), summary: 'no rights' };
  const granted = rules.flatMap((rule) => {
    if (!rule.classes.some((name) => request.actionClasses.includes(name))) return [];
    const names = objectsOf(rule, request.resources);
    if (names === 'all') return [{ rule, names: ['*'], boundary: ruleOf(rule) }];
    return names.length === 0
      ? []
      : [
          {
            rule,
            names,
            boundary: ruleOf(
              rule,
              names.map((name) => condition(rule.bucket, name)),
            ),
          },
        ];
  });
  if (granted.length === 0) {
    throw new RemitError('ERR_CREDENTIAL_ISSUE', 'no rule has the task’s action classes and resources', {
      hint: 'Name resources in the task, and the class in one of credential.gcp.rules. Nothing is opened unnamed.',
    });
  }
  if (granted.length > MOST_RULES) {
    throw new RemitError(
      'ERR_CREDENTIAL_ISSUE',
      `the task comes to ${granted.length} rules; the most is ${MOST_RULES}`,
      {
        hint: 'Let the task have fewer classes, or join rules of one bucket.',
      },
    );
  }
  const summary = granted.map(({ rule, names }) => `${rule.roles.join(', ')} on ${rule.bucket}/${names.join(', ')}`);
  return { text: textOf(granted.map(({ boundary }) => boundary)), summary: summary.join('; ') };
}

function objectsOf({ objects, for: patterns }: GcpRule, resources: readonly string[]): readonly string[] | 'all' {
  const own =
    patterns === undefined ? resources : resources.filter((name) => patterns.some((one) => covers(one, name)));
  if (objects === undefined) return patterns === undefined || own.length > 0 ? 'all' : [];
  if (!objects.includes(PLACEHOLDER)) return own.length > 0 ? [objects] : [];
  return own.map((name) => objects.split(PLACEHOLDER).join(name));
}

const ruleOf = ({ bucket, roles }: GcpRule, conditions: readonly string[] = []): BoundaryRule => ({
  availableResource: `//storage.googleapis.com/projects/_/buckets/${bucket}`,
  availablePermissions: roles.map((role) => `inRole:${role}`),
  ...(conditions.length > 0 && { availabilityCondition: { expression: conditions.join(' || ') } }),
});

/** A boundary has one rule at least: one that is never met. */
const nothingOf = (rule: GcpRule): BoundaryRule => ruleOf(rule, ["resource.name == ''"]);

const textOf = (accessBoundaryRules: readonly BoundaryRule[]): string =>
  JSON.stringify({ accessBoundary: { accessBoundaryRules } });

/** An object, or all whose names start so; these may be listed, too. */
function condition(bucket: string, name: string): string {
  const isPrefix = name.endsWith('*');
  const plain = isPrefix ? name.slice(0, -1) : name;
  if (plain.includes('*') || /\p{Cc}/u.test(plain)) {
    throw new RemitError(
      'ERR_CREDENTIAL_ISSUE',
      `${JSON.stringify(name)} is no object’s name, and no beginning of one`,
      {
        where: name,
        hint: 'Write the name of an object, or its beginning with * at the end.',
      },
    );
  }
  const object = celText(`projects/_/buckets/${bucket}/objects/${plain}`);
  if (!isPrefix) return `resource.name == ${object}`;
  const listed = `api.getAttribute('storage.googleapis.com/objectListPrefix', '').startsWith(${celText(plain)})`;
  return `resource.name.startsWith(${object}) || ${listed}`;
}

/** A string literal of CEL: a resource is text of an agent's choice, and must not end it. */
const celText = (text: string): string => `'${text.replace(/[\\']/g, '\\$&')}'`;
