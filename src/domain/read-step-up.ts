import { BARRED_APPROVERS, type BarredApprover, DEFAULT_TERMS, type StepUpTerms } from './step-up.ts';

/** Longest that an approval may be open: a day. A task lasts no longer either. */
const MOST_SECONDS = 86_400;
const MOST_APPROVERS = 10;
const MOST_USES = 1_000;

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600 };

/**
 * Reads the value of `@step_up`: words `name=value` with spaces between, each at most once, none needed. `approvers=group,group` `count=2`
 * `expires=15m` `limit=20` `not=user,owner`.
 * @param by id of the policy
 */
export function readStepUp(text: string, by: string): StepUpTerms | { readonly problem: string } {
  const terms: { -readonly [K in keyof StepUpTerms]: StepUpTerms[K] } = { by, ...DEFAULT_TERMS };
  const seen = new Set<string>();
  for (const word of text.split(/\s+/).filter((part) => part !== '')) {
    const at = word.indexOf('=');
    const name = at === -1 ? word : word.slice(0, at);
    const value = at === -1 ? '' : word.slice(at + 1);
    if (seen.has(name)) return { problem: `${name} is named twice` };
    seen.add(name);
    const problem = take(terms, name, value);
    if (problem !== undefined) return { problem };
  }
  return terms;
}

function take(
  terms: { -readonly [K in keyof StepUpTerms]: StepUpTerms[K] },
  name: string,
  value: string,
): string | undefined {
  switch (name) {
    case 'approvers': {
      const groups = value.split(',');
      if (!groups.every((group) => /^[a-z][a-z0-9-]{0,62}$/.test(group)))
        return 'approvers takes names of groups from `approvals.groups`, with commas between';
      terms.groups = groups;
      return undefined;
    }
    case 'count':
    case 'limit': {
      const most = name === 'count' ? MOST_APPROVERS : MOST_USES;
      const number = /^\d{1,4}$/.test(value) ? Number(value) : 0;
      if (number < 1 || number > most) return `${name} takes a number from 1 to ${most}`;
      terms[name] = number;
      return undefined;
    }
    case 'expires': {
      const [, count = '0', unit = ''] = /^(\d{1,5})([smh])$/.exec(value) ?? [];
      const seconds = Number(count) * (UNITS[unit] ?? 0);
      if (seconds < 1 || seconds > MOST_SECONDS) return 'expires takes a time of at most a day: 90s, 15m, 2h';
      terms.expiresSeconds = seconds;
      return undefined;
    }
    case 'not': {
      const barred = value.split(',');
      if (!barred.every((one): one is BarredApprover => BARRED_APPROVERS.some((known) => known === one)))
        return `not takes ${BARRED_APPROVERS.join(' and ')}, with commas between`;
      terms.barred = barred;
      return undefined;
    }
    default:
      return `${JSON.stringify(name)} is none of approvers, count, expires, limit and not`;
  }
}
