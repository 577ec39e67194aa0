import { isAsGood } from '../../domain/flow.ts';
import { describeOrigin } from '../describe-origin.ts';
import type { FlowRule } from '../flow-call.ts';

/** A critical value must come from where its sink can trust it. */
export const provenance: FlowRule = ({ provenance: values }) => {
  const [first, ...others] = values.filter(({ origin, needed }) => !isAsGood(origin, needed));
  if (first === undefined) return undefined;
  const more = others.length > 0 ? ` So it is with ${others.length} more.` : '';
  return { rule: 'remit:provenance', reason: `${first.argument} ${describeOrigin(first)}.${more}` };
};
