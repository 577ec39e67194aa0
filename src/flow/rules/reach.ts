import { isOutward } from '../../domain/flow.ts';
import type { FlowRule } from '../flow-call.ts';

/** How far one task reaches (R70): beyond the template's limits a person decides. */
export const reach: FlowRule = ({ item, sink, family, template }) => {
  const { outwardCalls, connectors } = template ?? {};
  if (outwardCalls !== undefined && isOutward(sink) && family.outward >= outwardCalls) {
    return {
      rule: 'remit:reach',
      reason: `This task has made ${family.outward} calls that reach outside, as many as its template allows.`,
    };
  }
  if (connectors !== undefined && !family.connectors.has(item.connector) && family.connectors.size >= connectors) {
    return {
      rule: 'remit:reach',
      reason: `This task has used ${connectors} connectors, as many as its template allows.`,
    };
  }
  return undefined;
};
