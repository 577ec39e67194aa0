import { isOutward } from '../../domain/flow.ts';
import type { FlowRule } from '../flow-call.ts';

/**
 * A value of a marked class goes neither to another zone nor outside, also where a template lets what was read in its zone go there: that is for a
 * person to say, of that value (R71).
 */
export const markedValues: FlowRule = ({ item, sink, zone, args, family, marked }) => {
  if (!marked.isOn || sink === 'none') return undefined;
  for (const [name, value] of Object.entries(args)) {
    const found = marked.find(family.marks, [name, value], zone, isOutward(sink));
    if (found === undefined) continue;
    const from = `holds a value of class ${found.dataClass} that was read in zone ${found.zone} (${found.tool})`;
    return { rule: 'remit:zone', reason: `${name} ${from}.`, from: { argument: name, from, isTrusted: false } };
  }
  const { zones } = family.labels;
  if (!family.marks.isPartial || (!isOutward(sink) && zones.every((one) => one === zone))) return undefined;
  const reason = `This task has read more of a marked class than is known by now; ${item.ref} could carry it to ${isOutward(sink) ? 'the outside' : `zone ${zone}`}.`;
  return { rule: 'remit:zone', reason };
};
