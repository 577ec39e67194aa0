import { isOutward, PUBLIC } from '../../domain/flow.ts';
import { isVouchedFor } from '../family.ts';
import type { FlowRule } from '../flow-call.ts';

/**
 * Untrusted input, sensitive access, and a call that changes or communicates (the lethal trifecta; Meta's Rule of Two): any two are fine. The third
 * is held unless everybody whom it reaches is vouched for.
 */
export const thirdLeg: FlowRule = ({ item, sink, family, provenance }) => {
  const { trust, dataClasses } = family.labels;
  if (!isOutward(sink) || trust !== 'untrusted') return undefined;
  const sensitive = dataClasses.filter((one) => one !== PUBLIC);
  if (sensitive.length === 0) return undefined;
  if (provenance.length > 0 && provenance.every(({ origin }) => isVouchedFor(origin))) return undefined;
  const what = sensitive.join(', ');
  return {
    rule: 'remit:third-leg',
    reason: `This task has read untrusted text and sensitive data (${what}); ${item.ref} would be the third leg.`,
  };
};
