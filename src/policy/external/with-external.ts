import type { Decision } from '../../domain/decision.ts';
import { messageOf } from '../../domain/errors.ts';
import type { FlowLabels } from '../../domain/flow.ts';
import { joinStepUps, type StepUpTerms, stepUpOf } from '../../domain/step-up.ts';
import type { Task } from '../../domain/task.ts';
import { type CallRequest, type Decider, type DiscoveryRequest, FAULT } from '../decide.ts';
import { type AskOptions, askPoint, ruleOf } from './ask-point.ts';
import { type Answers, createAnswers } from './remember-answers.ts';
import { type ExternalPoint, isAsked } from './scope.ts';
import { writeQuestions } from './write-questions.ts';

export interface ExternalOptions extends AskOptions {
  readonly points: readonly ExternalPoint[];
  readonly environment: string;
  readonly labelsOf: (task: Task) => FlowLabels;
}

type Action = 'call' | 'discover';

/**
 * A decider whose permits and holds need the word of decision points outside as well: deny wins, and nothing that they say gives what the
 * decider itself does not. Without points it is the decider itself.
 */
export function withExternal(decider: Decider, options: ExternalOptions): Decider {
  if (options.points.length === 0) return decider;
  const points = options.points.map((point) => ({ point, answers: createAnswers() }));

  const decide = (request: DiscoveryRequest & Partial<CallRequest>, action: Action): Decision | Promise<Decision> => {
    const own = (): Decision | Promise<Decision> =>
      action === 'call' ? decider.decideCall(request as CallRequest) : decider.decideDiscovery(request);
    const settle = (decision: Decision): Decision | Promise<Decision> => {
      if (decision.verdict === 'deny') return decision;
      const asked = points.filter(({ point }) => isAsked(point, request, action));
      if (asked.length === 0) return decision;
      return askAll(asked, request, action, options, own).catch((error: unknown) => {
        options.log?.error({ error: messageOf(error) }, 'a decision could not be made: denied');
        return { ...FAULT, policyVersion: decision.policyVersion };
      });
    };
    const decision = own();
    return decision instanceof Promise ? decision.then(settle) : settle(decision);
  };
  return {
    decideCall: (request) => decide(request, 'call'),
    decideDiscovery: (request) => decide(request, 'discover'),
  };
}

/** In the order of the configuration, until one denies: who is not asked learns nothing. */
async function askAll(
  asked: readonly { readonly point: ExternalPoint; readonly answers: Answers }[],
  request: DiscoveryRequest & Partial<CallRequest>,
  action: Action,
  options: ExternalOptions,
  own: () => Decision | Promise<Decision>,
): Promise<Decision> {
  const labels = action === 'call' ? options.labelsOf(request.task) : undefined;
  const terms: StepUpTerms[] = [];
  for (const { point, answers } of asked) {
    const questions = writeQuestions(point, request, action, { environment: options.environment, labels });
    const verdict = await askPoint(point, questions, answers, options);
    if ('denied' in verdict) return { ...verdict.denied, policyVersion: (await own()).policyVersion };
    terms.push(...verdict.terms);
  }
  // Asking took time: what has changed meanwhile binds.
  const decision = await own();
  if (decision.verdict === 'deny') return decision;
  const rules = asked.map(({ point }) => ruleOf(point));
  if (terms.length > 0 && action === 'call') return hold(decision, terms);
  return decision.verdict === 'permit' ? { ...decision, policies: [...decision.policies, ...rules] } : decision;
}

function hold(decision: Decision, terms: readonly StepUpTerms[]): Decision {
  const ours = stepUpOf(terms);
  if (decision.stepUp !== undefined) return { ...decision, stepUp: joinStepUps(decision.stepUp, ours) };
  return {
    ...decision,
    verdict: 'step_up',
    gate: 'external_policy',
    policies: terms.map(({ by }) => by),
    reason: 'An external decision point permits this once people agree.',
    nextStep: 'A person must approve this call first.',
    stepUp: ours,
  };
}
