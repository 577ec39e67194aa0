import { asksFor } from '../asks-for.ts';
import type { FlowRule } from '../flow-call.ts';

/** A call with an effect needs a prompt of the task that asks for it, where the template says so: between prompt and template, widening needs approval. */
export const notAsked: FlowRule = ({ item, profile, flow, template, family }) => {
  if (template?.isNarrowedByPrompt !== true || profile.actionClass === 'read') return undefined;
  if (family.prompts.some(({ words }) => asksFor(words, flow.asked))) return undefined;
  const reason =
    family.prompts.length === 0
      ? `${item.ref} has an effect, and no prompt of this task is known that could ask for it.`
      : `Nothing in the prompts of this task asks for ${item.ref}.`;
  return { rule: 'remit:not-asked', reason };
};
