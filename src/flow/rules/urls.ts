import { isAsGood, isOutward } from '../../domain/flow.ts';
import { findOrigin } from '../find-origin.ts';
import type { FlowRule } from '../flow-call.ts';
import { scalarsOf } from '../scalars.ts';
import { urlsIn } from '../urls.ts';

/** A URL within what leaves is an address that somebody's program calls, with whatever is in it (attacks A37, A38): it has to be vouched for. */
export const urls: FlowRule = ({ args, sink, family, flow, template }) => {
  if (!isOutward(sink)) return undefined;
  const destinations = [...flow.destinations, ...(template?.destinations ?? [])];
  for (const [name, value] of Object.entries(args)) {
    for (const { path, text } of scalarsOf(value, name)) {
      for (const url of urlsIn(text)) {
        const { origin } = findOrigin(family, { destinations }, url, undefined);
        if (!isAsGood(origin, 'pointed')) {
          return { rule: 'remit:url', reason: `${path} holds a URL that neither the user nor a trusted result gave.` };
        }
      }
    }
  }
  return undefined;
};
