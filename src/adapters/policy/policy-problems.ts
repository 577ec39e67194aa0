import { RemitError } from '../../domain/errors.ts';

/** Something wrong with a policy, at its place: line and column from 1. */
export interface PolicyProblem {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly policy: string;
  readonly message: string;
  readonly hint: string | undefined;
}

function describeProblem({ file, line, column, policy, message, hint }: PolicyProblem): string {
  return `${file}:${line}:${column}: policy ${policy}: ${message}${hint === undefined ? '' : ` (${hint})`}`;
}

/** One fault that lists every problem, each once. */
export function invalidPolicies(problems: readonly PolicyProblem[]): RemitError {
  const lines = [...new Set(problems.map(describeProblem))];
  const first = problems[0];
  return new RemitError(
    'ERR_POLICY_INVALID',
    `${lines.length === 1 ? 'a problem' : `${lines.length} problems`} in the policies\n${lines.join('\n')}`,
    {
      ...(first && { where: `${first.file}:${first.line}:${first.column}` }),
      hint: 'Mend the policies, then run `remit policy check`. Policies with a problem are never put in force.',
    },
  );
}
