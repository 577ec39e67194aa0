import type { DetailedError, PolicyJson } from '@cedar-policy/cedar-wasm/nodejs';
import { messageOf, RemitError } from '../../domain/errors.ts';
import { readStepUp } from '../../domain/read-step-up.ts';
import type { StepUpTerms } from '../../domain/step-up.ts';
import { cedar } from './cedar.ts';
import { isGroupAction } from './cedar-names.ts';
import { type References, readReferences } from './cedar-references.ts';
import { buildSchema } from './cedar-schema.ts';
import { scopeEntities } from './cedar-scopes.ts';
import { partsToValidate } from './narrow-schema.ts';
import { indexInventory, type PolicyInventory } from './policy-inventory.ts';
import { invalidPolicies, type PolicyProblem } from './policy-problems.ts';
import { fromByteOffset, type PolicyPart, placeOf, splitPolicies } from './policy-text.ts';

export interface PolicyFile {
  /** As it is shown to people. */
  readonly path: string;
  /** Below the policies folder, the same wherever that lies: names policies without an `@id`. Left out: the path. */
  readonly name?: string;
  readonly text: string;
}

export interface LoadedPolicy {
  /** `@id`, or `<name>#<n>` of its file, with n from 1. */
  readonly id: string;
  readonly file: string;
  readonly line: number;
  readonly effect: 'permit' | 'forbid';
  readonly text: string;
  readonly json: PolicyJson;
  readonly references: References;
  /** `@reason` and `@next`. */
  readonly reason: string | undefined;
  readonly nextStep: string | undefined;
  /** `@step_up` of a `forbid`: what it takes to lift it. */
  readonly stepUp: StepUpTerms | undefined;
}

/** Policies that passed strict validation, with what they were validated against. */
export interface LoadedPolicies {
  readonly schema: string;
  readonly inventory: PolicyInventory;
  readonly policies: readonly LoadedPolicy[];
}

interface Draft extends Omit<LoadedPolicy, 'json' | 'references' | 'effect' | 'reason' | 'nextStep' | 'stepUp'> {
  readonly source: PolicyFile;
  readonly part: PolicyPart;
  readonly json: PolicyJson | undefined;
  readonly references: References | undefined;
}

/**
 * Reads and strictly validates policy files against the schema of an inventory. No policy at all is legal: it denies all.
 * Warnings count as errors: a `forbid` that can never apply, or that would fail at run time, is a hole and not a remark.
 * @param fewTools with more than so many, policies are validated part by part; left out: as many as are quick at once
 * @throws `ERR_POLICY_INVALID` with every problem: file, line, column, policy id and what to do
 */
export function loadPolicies(
  files: readonly PolicyFile[],
  inventory: PolicyInventory,
  fewTools?: number,
): LoadedPolicies {
  const schema = buildSchema(inventory);
  const parsedSchema = cedar.checkParseSchema(schema);
  if (parsedSchema.type === 'failure') {
    throw new RemitError('ERR_POLICY_INVALID', `the schema does not parse: ${parsedSchema.errors[0]?.message}`, {
      where: 'schema.cedarschema',
      hint: 'Check the names of tools and arguments in the configuration.',
    });
  }
  const problems: PolicyProblem[] = [];
  const drafts = files.flatMap((file) => readFile(file, problems));
  findDuplicates(drafts, problems);
  const unknownIds = unknownIdFinder(inventory);
  for (const draft of drafts) {
    checkNames(draft, unknownIds, problems);
    checkStepUp(draft, problems);
  }
  const parts = partsToValidate(drafts, schema, inventory, indexInventory(inventory), fewTools);
  for (const part of parts) validateAll(part.schema, part.drafts, problems);
  if (problems.length > 0) throw invalidPolicies(problems);
  return { schema, inventory, policies: drafts.map(finish) };
}

function finish(draft: Draft): LoadedPolicy {
  const { id, file, line, text, json, references } = draft;
  if (json === undefined || references === undefined) throw new Error('a policy with a problem was not refused');
  const { reason, next } = json.annotations ?? {};
  return {
    id,
    file,
    line,
    effect: json.effect,
    text,
    json,
    references,
    reason: reason || undefined,
    nextStep: next || undefined,
    stepUp: stepUpIn(draft),
  };
}

function stepUpIn({ id, json }: Draft): StepUpTerms | undefined {
  const text = stepUpText(json);
  const terms = text === undefined ? undefined : readStepUp(text, id);
  if (terms !== undefined && 'problem' in terms) throw new Error('a policy with a problem was not refused');
  return terms;
}

/** Of an annotation without a value the JSON says null. */
function stepUpText(json: PolicyJson | undefined): string | undefined {
  const annotations: Readonly<Record<string, string | null>> = json?.annotations ?? {};
  return Object.hasOwn(annotations, 'step_up') ? (annotations.step_up ?? '') : undefined;
}

/** A hold is a `forbid` that can be lifted: on a `permit`, another permit would take it away. */
function checkStepUp(draft: Draft, problems: PolicyProblem[]): void {
  const text = stepUpText(draft.json);
  if (text === undefined) return;
  const at = Math.max(0, draft.text.indexOf('@step_up'));
  if (draft.json?.effect !== 'forbid') {
    const hint = 'Permit without it, and write a forbid with @step_up for the calls that a person must approve.';
    problems.push(problemAt(draft, at, '@step_up stands on a permit', hint));
    return;
  }
  const terms = readStepUp(text, draft.id);
  if ('problem' in terms)
    problems.push(
      problemAt(
        draft,
        at,
        `@step_up: ${terms.problem}`,
        'For example @step_up("approvers=payments count=2 expires=15m").',
      ),
    );
}

function readFile(file: PolicyFile, problems: PolicyProblem[]): Draft[] {
  const drafts = splitPolicies(file.text).map((part, index) => readPart(file, part, index + 1, problems));
  // Cedar's own reading of the whole file must agree with ours, or a policy could hide in the difference.
  const whole = cedar.policySetTextToParts(file.text);
  const count = whole.type === 'success' ? whole.policies.length + whole.policy_templates.length : undefined;
  if (count !== drafts.length && drafts.every((draft) => draft.json !== undefined)) {
    const message =
      whole.type === 'success' ? `Cedar counts ${count} policies, not ${drafts.length}` : firstMessage(whole.errors);
    problems.push({
      file: file.path,
      line: 1,
      column: 1,
      policy: file.path,
      message,
      hint: 'End each policy with ";".',
    });
  }
  return drafts;
}

function readPart(source: PolicyFile, part: PolicyPart, number: number, problems: PolicyProblem[]): Draft {
  const { line } = placeOf(source.text, part.start);
  const fallback = {
    source,
    part,
    file: source.path,
    line,
    text: part.text,
    id: `${source.name ?? source.path}#${number}`,
  };
  const answer = cedar.policyToJson(part.text);
  if (answer.type === 'failure') {
    const draft: Draft = { ...fallback, json: undefined, references: undefined };
    for (const error of answer.errors) report(draft, error, problems);
    return draft;
  }
  const given = answer.json.annotations?.id;
  const draft: Draft = { ...fallback, id: given ?? fallback.id, json: answer.json, references: undefined };
  if (given !== undefined && (given === '' || given.startsWith('remit:'))) {
    problems.push(
      problemAt(draft, 0, `the id ${JSON.stringify(given)} is not allowed`, 'Name it, not starting with "remit:".'),
    );
  }
  try {
    return { ...draft, references: readReferences(answer.json) };
  } catch (error) {
    problems.push(problemAt(draft, 0, messageOf(error), 'Write the condition in another way.'));
    return draft;
  }
}

function findDuplicates(drafts: readonly Draft[], problems: PolicyProblem[]): void {
  const first = new Map<string, Draft>();
  for (const draft of drafts) {
    const other = first.get(draft.id);
    if (other === undefined) first.set(draft.id, draft);
    else
      problems.push(
        problemAt(draft, 0, `${other.file}:${other.line} has the same id`, 'Give each policy an @id of its own.'),
      );
  }
}

type UnknownIds = (type: string, id: string) => boolean;

function unknownIdFinder(inventory: PolicyInventory): UnknownIds {
  const { agents, connectors, tools } = indexInventory(inventory);
  const known = new Map<string, ReadonlyMap<string, unknown>>([
    ['Remit::Agent', agents],
    ['Remit::Connector', connectors],
    ['Remit::Tool', tools],
  ]);
  return (type, id) => known.get(type)?.has(id) === false;
}

/** What Cedar's validator lets pass: names of entities that are not registered, and tests that no request can meet. */
function checkNames(draft: Draft, isUnknown: UnknownIds, problems: PolicyProblem[]): void {
  if (draft.json === undefined || draft.references === undefined) return;
  for (const { type, id } of [...scopeEntities(draft.json), ...draft.references.literals]) {
    if (!isUnknown(type, id)) continue;
    const at = Math.max(0, draft.text.indexOf(JSON.stringify(id)));
    problems.push(
      problemAt(
        draft,
        at,
        `${type}::${JSON.stringify(id)} is not registered`,
        'Mind the spelling; a tool needs a profile.',
      ),
    );
  }
  const action = draft.json.action;
  const compared = [...draft.references.comparedGroups];
  if (action.op === '==')
    compared.push(...scopeEntities({ ...draft.json, principal: { op: 'All' }, resource: { op: 'All' } }));
  for (const entity of compared.filter(isGroupAction)) {
    const at = Math.max(0, draft.text.indexOf(JSON.stringify(entity.id)));
    const name = `Remit::Action::${JSON.stringify(entity.id)}`;
    problems.push(problemAt(draft, at, `${name} is a group: no call equals it`, `Write "action in ${name}".`));
  }
}

function validateAll(schema: string, drafts: readonly Draft[], problems: PolicyProblem[]): void {
  const parsed = drafts.filter((draft) => draft.json !== undefined);
  const staticPolicies = Object.fromEntries(parsed.map((draft, index) => [`p${index}`, draft.text]));
  const answer = cedar.validate({ schema, policies: { staticPolicies }, validationSettings: { mode: 'strict' } });
  const place = { file: 'policies', line: 1, column: 1, policy: '' };
  if (answer.type === 'failure') {
    problems.push({ ...place, message: firstMessage(answer.errors), hint: undefined });
    return;
  }
  const erring = new Set(answer.validationErrors.map(({ policyId }) => policyId));
  // An error makes the policy look impossible too: say it once.
  const warnings = answer.validationWarnings.filter(({ policyId }) => !erring.has(policyId));
  for (const { policyId, error } of [...answer.validationErrors, ...warnings]) {
    const draft = parsed[Number(policyId.slice(1))];
    if (draft === undefined) problems.push({ ...place, message: firstMessage([error]), hint: undefined });
    else report(draft, error, problems);
  }
  for (const warning of answer.otherWarnings)
    problems.push({ ...place, message: warning.message, hint: warning.help ?? undefined });
}

const firstMessage = (errors: readonly DetailedError[]): string => errors[0]?.message ?? 'Cedar gave no reason';

function report(draft: Draft, error: DetailedError, problems: PolicyProblem[]): void {
  const source = error.sourceLocations?.[0];
  const at = source === undefined ? 0 : fromByteOffset(draft.text, source.start);
  const clean = (text: string) =>
    text.replace(/^for policy `p\d+`, /, '').replace(/^failed to parse policy [^:]*: /, '');
  const hint = error.help ?? source?.label ?? undefined;
  problems.push(problemAt(draft, at, clean(error.message), hint === undefined ? undefined : clean(hint)));
}

function problemAt(draft: Draft, offset: number, message: string, hint: string | undefined): PolicyProblem {
  const { line, column } = placeOf(draft.source.text, draft.part.start + offset);
  return { file: draft.file, line, column, policy: draft.id, message, hint };
}
