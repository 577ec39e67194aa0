import type { AccessRequest } from '../../domain/decision.ts';
import type { FlowLabels } from '../../domain/flow.ts';
import { RISK_SUBJECTS, type RiskSubjectKind } from '../../domain/risk.ts';
import type { Task } from '../../domain/task.ts';
import type { Code, Run, Value } from './code.ts';

type TaskField = 'id' | 'template' | 'purpose' | 'startedAt' | 'expiresAt';

const TASK_FIELDS: ReadonlySet<string> = new Set<TaskField>(['id', 'template', 'purpose', 'startedAt', 'expiresAt']);
const LABEL_FIELDS: ReadonlySet<string> = new Set<keyof FlowLabels>(['trust', 'dataClasses', 'zones']);
const RISK_FIELDS: ReadonlySet<string> = new Set(RISK_SUBJECTS);
const USER_FIELDS: ReadonlySet<string> = new Set(['issuer', 'subject']);

/** Reads one leaf of the context, as the schema has it; undefined for a path that is none. A leaf that is not there is for Cedar to judge. */
export function compileContextRead(path: readonly string[], isCall: boolean): Run | undefined {
  const [field, name] = path;
  if (field === 'environment' && path.length === 1) return ({ context }) => readLeaf(context.environment);
  if (name === undefined || path.length !== 2) return undefined;
  if (field === 'task' && TASK_FIELDS.has(name))
    return ({ context }) => readLeaf(context.task[name as keyof Task & TaskField]);
  if (field === 'user' && USER_FIELDS.has(name))
    return ({ context }) => readLeaf(context.principal.user?.[name as 'issuer' | 'subject']);
  if (field === 'labels' && isCall && LABEL_FIELDS.has(name))
    return ({ context }) => readLeaf(context.labelsOf(context.task)[name as keyof FlowLabels]);
  if (field === 'risk' && isCall && RISK_FIELDS.has(name))
    return ({ context }) => readLeaf(context.risk[name as RiskSubjectKind]);
  if (field === 'provenance' && isCall)
    return ({ context }) => (Object.hasOwn(context.provenance, name) ? readLeaf(context.provenance[name]) : undefined);
  if (field === 'args' && isCall)
    return ({ context }) => (Object.hasOwn(context.arguments, name) ? readLeaf(context.arguments[name]) : undefined);
  return undefined;
}

/**
 * Whether the context has what `base` and `names` lead to. `has` of something below a record that is not there itself is an error to Cedar when
 * the record stands before the `has`, and false when it stands behind it.
 */
export function compileContextHas(
  base: readonly string[],
  names: readonly string[],
  isCall: boolean,
): Code | undefined {
  const [field, name] = [...base, ...names];
  const isWhole = base.length === 0;
  if (field === undefined || names.length === 0 || base.length + names.length > 2) return undefined;
  switch (field) {
    case 'task':
      return { constant: name === undefined || TASK_FIELDS.has(name) };
    case 'environment':
      return name === undefined ? { constant: true } : undefined;
    case 'user': {
      const canHave = name === undefined || USER_FIELDS.has(name);
      return {
        run: ({ context }: AccessRequest) =>
          context.principal.user === undefined ? (isWhole ? false : undefined) : canHave,
      };
    }
    case 'args':
      if (!isCall) return isWhole ? { constant: false } : undefined;
      if (name === undefined) return { constant: true };
      return { run: ({ context }: AccessRequest) => Object.hasOwn(context.arguments, name) };
    case 'labels':
      if (!isCall) return isWhole ? { constant: false } : undefined;
      return { constant: name === undefined || LABEL_FIELDS.has(name) };
    case 'risk':
      if (!isCall) return isWhole ? { constant: false } : undefined;
      return { constant: name === undefined || RISK_FIELDS.has(name) };
    case 'provenance':
      if (!isCall) return isWhole ? { constant: false } : undefined;
      if (name === undefined) return { constant: true };
      return { run: ({ context }: AccessRequest) => Object.hasOwn(context.provenance, name) };
    default:
      return isWhole ? { constant: false } : undefined;
  }
}

/** What Cedar would take as the same value: no fraction, no integer that is not exact, no text that has no UTF-8 form. */
function readLeaf(value: unknown): Value | undefined {
  switch (typeof value) {
    case 'string':
      return value.isWellFormed() ? value : undefined;
    case 'number':
      return Number.isSafeInteger(value) ? value : undefined;
    case 'boolean':
      return value;
    default:
      return Array.isArray(value) && value.every((item) => typeof item === 'string' && item.isWellFormed())
        ? (value as readonly string[])
        : undefined;
  }
}
