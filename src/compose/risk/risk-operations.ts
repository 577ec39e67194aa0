import { RemitError } from '../../domain/errors.ts';
import { RISK_SUBJECTS, type RiskLevel, type RiskSubject, riskKey } from '../../domain/risk.ts';
import type { AdminOperation } from '../../http/admin-socket.ts';
import type { Administration } from '../trail/record-administration.ts';
import type { BuiltRisk } from './build-risk.ts';

/** One subject's risk, as people see it. */
export interface RiskView {
  readonly kind: RiskSubject['kind'];
  readonly id: string;
  readonly level: RiskLevel;
  /** Points, now. */
  readonly score: number;
}

/** Risk over the administration socket. */
export function riskOperations(
  { levels: risk, clear }: Pick<BuiltRisk, 'levels' | 'clear'>,
  /** Puts a change on the trail. */
  administer: (change: Administration) => Promise<unknown>,
): Readonly<Record<string, AdminOperation>> {
  return {
    risks: async () => ({ risks: risk.list().map(({ subject, score, level }) => viewOf(subject, score, level)) }),
    async risk(given) {
      const subject = readSubject(given);
      const { score, level } = risk.show(subject);
      return viewOf(subject, score, level);
    },
    async 'risk-clear'(given) {
      const subject = readSubject(given);
      const { level, score } = risk.show(subject);
      if (score === 0) {
        throw new RemitError('ERR_NOT_FOUND', `${riskKey(subject)} has no risk to clear`, {
          where: riskKey(subject),
          hint: '`remit risk ls` lists those that have one.',
        });
      }
      const reason = (given.reason ?? '').slice(0, 500);
      if (reason.trim() === '') throw new RemitError('ERR_USAGE', 'a reason is needed');
      await administer({ action: 'risk_clear', subject: riskKey(subject), level, reason });
      await clear(subject);
      return viewOf(subject, 0, 'low');
    },
  };
}

const viewOf = ({ kind, id }: RiskSubject, score: number, level: RiskLevel): RiskView => ({
  kind,
  id,
  level,
  score: Math.round(score * 10) / 10,
});

/** @throws `ERR_USAGE` */
export function readSubject({ kind = '', id = '' }: Readonly<Record<string, string>>): RiskSubject {
  const known = RISK_SUBJECTS.find((one) => one === kind);
  if (known !== undefined && id !== '') return { kind: known, id };
  throw new RemitError('ERR_USAGE', `not a subject of risk: ${kind} ${id}`.trim(), {
    hint: `Name one of ${RISK_SUBJECTS.join(', ')}, and its id: \`agent scribe\`; a user is issuer#subject.`,
  });
}
