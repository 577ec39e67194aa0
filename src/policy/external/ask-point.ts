import { messageOf } from '../../domain/errors.ts';
import { readStepUp } from '../../domain/read-step-up.ts';
import type { StepUpTerms } from '../../domain/step-up.ts';
import type { Clock, Log, Schedule } from '../../seams/clock.ts';
import type { ExternalAnswer, ExternalQuestion } from '../../seams/external-policy.ts';
import type { Denial } from '../denial.ts';
import { TooLate, withinTime } from '../within-time.ts';
import type { Answers } from './remember-answers.ts';
import type { ExternalPoint } from './scope.ts';

export interface AskOptions {
  readonly schedule: Schedule;
  readonly clock: Clock;
  /** Groups of approvers by name: a hold that names another could never be lifted. */
  readonly approverGroups: ReadonlySet<string>;
  readonly log?: Log;
}

/** What one point says of all links: a denial, or the terms under which it permits (none: at once). */
export type PointVerdict = { readonly denied: Denial } | { readonly terms: readonly StepUpTerms[] };

/** Asks one point, within its time. Whatever but a full and readable answer comes of it denies (guarantee D1); never rejects. */
export async function askPoint(
  point: ExternalPoint,
  questions: readonly ExternalQuestion[],
  answers: Answers,
  options: AskOptions,
): Promise<PointVerdict> {
  try {
    return judge(point, await answersOf(point, questions, answers, options), questions, options);
  } catch (error) {
    try {
      options.log?.error({ external: point.id, error: messageOf(error) }, 'an external decision point failed: denied');
    } catch {
      // A log that fails changes nothing: the answer is a denial either way.
    }
    return { denied: faulted(point, error instanceof TooLate ? 'did not answer in time' : 'could not be asked') };
  }
}

async function answersOf(
  point: ExternalPoint,
  questions: readonly ExternalQuestion[],
  answers: Answers,
  { schedule, clock }: AskOptions,
): Promise<readonly ExternalAnswer[]> {
  const key = point.reuseMs > 0 ? JSON.stringify(questions) : undefined;
  const known = key === undefined ? undefined : answers.get(key, clock());
  if (known !== undefined) return known;
  const given = await withinTime(point.timeoutMs, schedule, (signal) => point.policy.ask(questions, signal));
  if (!Array.isArray(given) || given.length !== questions.length || !given.every(isAnswer)) {
    throw new Error('what it answered is not what was asked');
  }
  const now = clock();
  if (key !== undefined) answers.put(key, given, now, now + point.reuseMs);
  return given;
}

const isAnswer = (answer: Partial<ExternalAnswer> | undefined): boolean =>
  typeof answer?.isPermitted === 'boolean' &&
  (answer.stepUp === undefined || typeof answer.stepUp === 'string') &&
  (answer.reason === undefined || typeof answer.reason === 'string');

/** The first that does not permit denies, and holds add up. */
function judge(
  point: ExternalPoint,
  answers: readonly ExternalAnswer[],
  questions: readonly ExternalQuestion[],
  { approverGroups }: AskOptions,
): PointVerdict {
  const at = answers.findIndex(({ isPermitted }) => !isPermitted);
  if (at !== -1) {
    const { type = '', id = '' } = questions[at]?.subject ?? {};
    const reason = answers[at]?.reason ?? `${point.id} does not permit the ${type} ${id} this.`;
    return { denied: { ...SHAPE, policies: [ruleOf(point)], reason } };
  }
  const terms: StepUpTerms[] = [];
  for (const { stepUp } of answers) {
    if (stepUp === undefined) continue;
    const read = readStepUp(stepUp, ruleOf(point));
    if ('problem' in read || !read.groups.every((group) => approverGroups.has(group))) {
      return { denied: faulted(point, 'asks for an approval in words that are not known') };
    }
    terms.push(read);
  }
  return { terms: uniqueTerms(terms) };
}

/** Links that are held alike are held once; others must all be met, each under a name of its own. */
function uniqueTerms(terms: readonly StepUpTerms[]): StepUpTerms[] {
  const texts = terms.map((one) => JSON.stringify(one));
  return terms
    .filter((_, at) => texts.indexOf(texts[at] as string) === at)
    .map((one, at) => (at === 0 ? one : { ...one, by: `${one.by}#${at + 1}` }));
}

export const ruleOf = ({ id }: ExternalPoint): string => `remit:external/${id}`;

const SHAPE = {
  verdict: 'deny',
  gate: 'external_policy',
  nextStep: 'Use another tool, or ask the owner of that decision point.',
} as const;

function faulted({ id }: ExternalPoint, what: string): Denial {
  return {
    ...SHAPE,
    policies: [`remit:external-fault/${id}`],
    reason: `The decision point ${id} ${what}.`,
    nextStep: 'Try again; if it stays so, tell the operator.',
  };
}
