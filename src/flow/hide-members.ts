import type { FlowProfile } from '../domain/flow.ts';
import { isJsonObject, type JsonObject } from '../domain/json.ts';

type Hide = (value: unknown) => string;

/**
 * A result with handles in place of the members that a profile hides. What can be read only as a whole (a text that is not JSON, a picture, an
 * embedded resource) is hidden as a whole: it cannot be told what is in it.
 */
export function replaceHidden(result: JsonObject, { handle = [] }: FlowProfile, hide: Hide): JsonObject {
  const paths = handle.map((path) => path.split('.'));
  const changed: Record<string, unknown> = { ...result };
  if (result.structuredContent !== undefined) changed.structuredContent = along(result.structuredContent, paths, hide);
  if (Array.isArray(result.content)) changed.content = result.content.map((part) => hidePart(part, paths, hide));
  if (Array.isArray(result.contents)) changed.contents = result.contents.map((one) => hideContents(one, paths, hide));
  if (Array.isArray(result.messages)) {
    changed.messages = result.messages.map((message: unknown) =>
      isJsonObject(message) ? { ...message, content: hidePart(message.content, paths, hide) } : message,
    );
  }
  return changed as JsonObject;
}

type Paths = readonly (readonly string[])[];

function hidePart(part: unknown, paths: Paths, hide: Hide): unknown {
  if (isJsonObject(part) && part.type === 'text' && typeof part.text === 'string') {
    return { ...part, text: hideText(part.text, paths, hide) };
  }
  return { type: 'text', text: hide(part) };
}

function hideContents(one: unknown, paths: Paths, hide: Hide): unknown {
  if (!isJsonObject(one)) return one;
  if (typeof one.text === 'string') return { ...one, text: hideText(one.text, paths, hide) };
  const { blob, ...rest } = one;
  return { ...rest, text: hide(blob ?? '') };
}

function hideText(text: string, paths: Paths, hide: Hide): string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return hide(text);
  }
  return typeof value === 'object' && value !== null ? JSON.stringify(along(value, paths, hide)) : hide(text);
}

function along(value: unknown, paths: Paths, hide: Hide): unknown {
  return paths.reduce((changed, path) => alongOne(changed, path, hide), value);
}

/** Lists are gone through: `messages.body` is the body of each. */
function alongOne(value: unknown, path: readonly string[], hide: Hide): unknown {
  if (Array.isArray(value)) return value.map((one) => alongOne(one, path, hide));
  const [name = '', ...rest] = path;
  if (!isJsonObject(value) || !Object.hasOwn(value, name)) return value;
  const member = value[name];
  if (rest.length > 0) return { ...value, [name]: alongOne(member, rest, hide) };
  return { ...value, [name]: Array.isArray(member) ? member.map((one) => hide(one)) : hide(member) };
}
