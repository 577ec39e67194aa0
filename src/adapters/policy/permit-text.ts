import { cedarString, NAMESPACE } from './cedar-names.ts';

/** The narrowest policy that permits one subject one item. */
export function permitText(subject: { readonly kind: 'User' | 'Agent'; readonly id: string }, tool: string): string {
  return `permit (
  principal == ${NAMESPACE}::${subject.kind}::${cedarString(subject.id)},
  action == ${NAMESPACE}::Action::${cedarString(tool)},
  resource
);`;
}
