import { connectorId } from '../src/domain/ids.ts';
import { proposeProfile } from '../src/inventory/propose-profile.ts';
import type { ToolDefinition } from './corpus.ts';
import type { Declarations, Profiles } from './rows.ts';

/** Members of results that a system commonly issues. A person would confirm them for each tool; here nobody has. */
const FIELDS = {
  participants: 'address',
  recipients: 'address',
  sender: 'address',
  email: 'address',
  iban: 'account',
  recipient: 'account',
};

/**
 * Profiles of a suite that nobody has described: what `remit tool describe` proposes from the definitions, unread. Shows what the proposals are
 * worth, and lets any suite be run.
 */
export function proposeProfiles(
  suite: string,
  tools: readonly ToolDefinition[],
  format: 'json' | 'yaml',
): Profiles[string] {
  return {
    tools: Object.fromEntries(
      tools.map((tool) => {
        const definition = {
          connector: connectorId(suite),
          name: tool.name,
          description: '',
          raw: { ...tool },
          fingerprint: '',
        };
        const { class: actionClass, flow } = proposeProfile(definition);
        const source = { ...flow?.source, fields: { ...FIELDS, ...flow?.source.fields }, format };
        return [tool.name, { class: actionClass, ...flow, source }];
      }),
    ),
  };
}

/** A template for it that narrows by prompt. */
export const proposedDeclaration: Declarations[string] = { template: { flow: { narrow: 'prompt' } } };
