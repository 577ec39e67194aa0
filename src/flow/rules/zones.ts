import type { FlowRule } from '../flow-call.ts';

/** What was read in one zone goes to another only where the template says so (R71). */
export const zones: FlowRule = ({ item, sink, zone, family, template }) => {
  if (sink === 'none') return undefined;
  const from = family.labels.zones.find(
    (one) => one !== zone && template?.crossings.includes(`${one}>${zone}`) !== true,
  );
  if (from === undefined) return undefined;
  return {
    rule: 'remit:zone',
    reason: `This task has read in zone ${from}; ${item.ref} would carry it to zone ${zone}.`,
  };
};
