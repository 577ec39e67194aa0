import type { AccessRequest } from '../../domain/decision.ts';
import type { PolicyAnswer } from '../../seams/policy-engine.ts';
import { readPrincipalScope } from './cedar-scopes.ts';
import { type Code, evaluate, isConstant, isNotReadHere, truth } from './code.ts';
import { compileExpression, type Question } from './compile-expression.ts';
import type { LoadedPolicy } from './load-policies.ts';
import { answerOf, denyByDefault } from './policy-answer.ts';

/** Evaluates one slice for one question; undefined where Cedar must be asked. */
export type Program = (request: AccessRequest) => PolicyAnswer | undefined;

/** One policy that may apply: `group` is what is open of its scope, and all `clauses` must come out as they say. */
interface Rule {
  readonly policy: LoadedPolicy;
  readonly group: string | undefined;
  readonly clauses: readonly { readonly code: Code; readonly must: boolean }[];
}

/**
 * Compiles the policies of a slice, all or none: one that is left to Cedar leaves the others to it too, so that every answer comes from one
 * evaluator. What no request of the question can change is decided here.
 */
export function compileSlice(policies: readonly LoadedPolicy[], question: Question): Program | undefined {
  const forbids: Rule[] = [];
  const permits: Rule[] = [];
  try {
    for (const policy of policies) {
      const rule = compileRule(policy, question);
      if (rule !== undefined) (policy.effect === 'forbid' ? forbids : permits).push(rule);
    }
  } catch (error) {
    if (isNotReadHere(error)) return undefined;
    throw error;
  }
  const forbidding = createAnswers('deny');
  const permitting = createAnswers('permit');
  return (request) => {
    // Every policy is evaluated, whatever the others say: an error in any of them denies, and finding it is up to Cedar.
    const forbid = findDetermining(forbids, request, forbidding);
    const permit = findDetermining(permits, request, permitting);
    if (forbid === undefined || permit === undefined) return undefined;
    return forbid.answer ?? permit.answer ?? denyByDefault(request);
  };
}

/** Undefined for a policy that no request of this question can meet. */
function compileRule(policy: LoadedPolicy, question: Question): Rule | undefined {
  const clauses: { code: Code; must: boolean }[] = [];
  for (const { kind, body } of policy.json.conditions) {
    const code = truth(compileExpression(body, question));
    const must = kind === 'when';
    if (!isConstant(code)) clauses.push({ code, must });
    // Those before it may err, which Cedar would notice: only without any is the policy out for certain.
    else if (code.constant !== must && clauses.length === 0) return undefined;
    else if (code.constant !== must) {
      clauses.push({ code, must });
      break;
    }
  }
  return { policy, group: readPrincipalScope(policy.json).group, clauses };
}

/** Whether a policy applies: its clauses in turn, up to the first that does not hold. */
function applies({ group, clauses }: Rule, request: AccessRequest): boolean | undefined {
  if (group !== undefined && !request.subject.groups.includes(group)) return false;
  for (const { code, must } of clauses) {
    const value = evaluate(code, request);
    if (value === undefined) return undefined;
    if (value !== must) return false;
  }
  return true;
}

/** Answers by which policies determine them: the same ones are the same object, so that what is made of one need not be made again. */
interface Answers {
  readonly answer: PolicyAnswer | undefined;
  after(rule: Rule): Answers;
}

/** Beyond these an answer is made anew each time: so many combinations are no everyday answers. */
const MAX_KEPT = 256;

function createAnswers(verdict: PolicyAnswer['verdict']): Answers {
  let kept = 0;
  const make = (determining: readonly LoadedPolicy[]): Answers => {
    const next = new Map<Rule, Answers>();
    return {
      answer: determining.length === 0 ? undefined : answerOf(determining, verdict),
      after(rule) {
        const known = next.get(rule);
        if (known !== undefined) return known;
        const made = make([...determining, rule.policy]);
        if (kept++ < MAX_KEPT) next.set(rule, made);
        return made;
      },
    };
  };
  return make([]);
}

function findDetermining(rules: readonly Rule[], request: AccessRequest, none: Answers): Answers | undefined {
  let found = none;
  for (const rule of rules) {
    const isMet = applies(rule, request);
    if (isMet === undefined) return undefined;
    if (isMet) found = found.after(rule);
  }
  return found;
}
