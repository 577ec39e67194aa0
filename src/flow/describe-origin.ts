import type { Origin, ValueProvenance } from '../domain/flow.ts';

const WHERE: Readonly<Record<Origin, string>> = {
  user: 'comes from the user',
  trusted: 'comes from a trusted result',
  pointed: 'stands in a field of a result that the user pointed at',
  named: 'stands only in the text of a result that the user pointed at',
  field: 'stands only in a field of a result that nobody pointed at',
  text: 'stands only in the text of an untrusted result',
  nowhere: 'stands neither in a prompt nor in anything that this task has read',
};

/** `stands only in the text of an untrusted result (mail/search)`. Never the value; the same for the same value, however often it was read. */
export function describeOrigin({ origin, tool }: Pick<ValueProvenance, 'origin' | 'tool'>): string {
  return tool === undefined ? WHERE[origin] : `${WHERE[origin]} (${tool})`;
}
