/**
 * Text that others wrote (servers, agents, users) on its way to a person's terminal or to a model. A terminal obeys control characters;
 * neither a person nor a reviewer sees bidirectional overrides, zero-width characters or Unicode tags, which a model reads all the same.
 */

/** Controls, formats, lone surrogates, line and paragraph separators, and whatever else is not drawn. */
const NOT_DRAWN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;

/** What a model has no use for. Left alone: tab and line breaks, joiners and variation selectors, which scripts and emoji need. */
const SMUGGLING =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e0fff}]/gu;

/**
 * Whole control sequences of terminals (ECMA-48): CSI, OSC and the other strings, two-character escapes. Taken out whole, as what is left of one
 * without its ESC is noise.
 */
const TERMINAL =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  /(?:\u001b\[|\u009b)[0-?]*[ -/]*[@-~]|(?:\u001b[\]PX^_]|[\u0090\u0098\u009d-\u009f])[^\u0007\u001b\u009c]*(?:\u0007|\u001b\\|\u009c)?|\u001b[ -/]*[0-~]/g;

/** Without any of these a text is clean: most are. */
const SUSPECT = /[^\t\n\r -~]/;

const NAMED: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** One line, in which every character that is not drawn stands as its escape. */
export function printable(text: string): string {
  return text.replace(NOT_DRAWN, (found) => NAMED[found] ?? `\\u{${(found.codePointAt(0) as number).toString(16)}}`);
}

/** JSON text of the same value in which every character that is not drawn is escaped, as RFC 8259 section 7 allows. */
export function printableJson(json: string): string {
  // Line breaks in JSON text are indentation: inside a string they are escaped already.
  return json.replace(NOT_DRAWN, (found) => (found === '\n' ? found : escapeUnits(found)));
}

/** Without the characters that hide text from people and show it to models. */
export function withoutHidden(text: string): string {
  return SUSPECT.test(text) ? text.replace(TERMINAL, '').replace(SMUGGLING, '') : text;
}

/**
 * A JSON value with every text in it cleaned; names of members stay, because they are names of arguments. The very same value when it is clean,
 * as most are.
 * @throws RangeError when it is nested too deep
 */
export function withoutHiddenWithin(value: unknown): unknown {
  if (typeof value === 'string') return withoutHidden(value);
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) {
    const items = value.map(withoutHiddenWithin);
    return items.some((item, at) => item !== value[at]) ? items : value;
  }
  const object = value as Record<string, unknown>;
  let clean: Record<string, unknown> | undefined;
  for (const name of Object.keys(object)) {
    const member = withoutHiddenWithin(object[name]);
    if (member === object[name]) continue;
    clean ??= { ...object };
    clean[name] = member;
  }
  return clean ?? value;
}

function escapeUnits(found: string): string {
  let escaped = '';
  for (let at = 0; at < found.length; at++) escaped += `\\u${found.charCodeAt(at).toString(16).padStart(4, '0')}`;
  return escaped;
}
