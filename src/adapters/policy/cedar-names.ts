import type { EntityUidJson, TypeAndId } from '@cedar-policy/cedar-wasm/nodejs';
import { RemitError } from '../../domain/errors.ts';
import { ACTION_CLASSES } from '../../domain/tool.ts';

/** How Remit's nouns are called in Cedar: `Remit::Agent::"id"`, `Remit::Action::"connector/tool"`, and so on. */
export const NAMESPACE = 'Remit';

export type EntityKind = 'User' | 'Group' | 'Agent' | 'Connector' | 'Tool' | 'Action';

export const uid = (kind: EntityKind, id: string): TypeAndId => ({ type: `${NAMESPACE}::${kind}`, id });

/** Cedar writes an entity as `{type, id}` or wrapped in `__entity`. */
export const readUid = (json: EntityUidJson): TypeAndId => ('__entity' in json ? json.__entity : json);

export const DISCOVER = 'discover';
export const CALL = 'call';

const GROUP_ACTIONS: ReadonlySet<string> = new Set([CALL, ...ACTION_CLASSES]);

/** Whether an entity is an action that only groups others: a request never carries one. */
export function isGroupAction({ type, id }: TypeAndId): boolean {
  return type === `${NAMESPACE}::Action` && GROUP_ACTIONS.has(id);
}

/** Names that Cedar's JSON reads as an escape, or JavaScript as a prototype. */
const RESERVED_NAMES: ReadonlySet<string> = new Set(['__entity', '__extn', '__expr', '__proto__']);

/** Whether a name can be an attribute of a record that is sent to Cedar. */
export const isReservedName = (name: string): boolean => RESERVED_NAMES.has(name);

/**
 * A Cedar string literal: printable ASCII stays, all else is escaped, so no name can end the literal or a comment.
 * @throws `ERR_POLICY_INVALID` for text with a lone surrogate, which has no Unicode scalar value to escape to
 */
export function cedarString(text: string): string {
  let literal = '"';
  for (const character of text) {
    const code = character.codePointAt(0) as number;
    if (code >= 0xd800 && code <= 0xdfff) {
      throw new RemitError('ERR_POLICY_INVALID', `the name ${JSON.stringify(text)} is not well-formed Unicode`, {
        hint: 'Rename it in the configuration.',
      });
    }
    const isPlain = code >= 0x20 && code <= 0x7e && character !== '"' && character !== '\\';
    literal += isPlain ? character : `\\u{${code.toString(16)}}`;
  }
  return `${literal}"`;
}
