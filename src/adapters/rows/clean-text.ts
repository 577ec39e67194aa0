/**
 * A value of JSON as PostgreSQL takes it: no text of it may hold a NUL or half of a surrogate pair, and records hold what strangers wrote.
 */
export function cleanValue(value: unknown): unknown {
  if (typeof value === 'string') return cleanText(value);
  if (Array.isArray(value)) return value.map(cleanValue);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [cleanText(name), cleanValue(item)]));
}

export const cleanText = (text: string): string => {
  const whole = text.includes('\0') ? text.replaceAll('\0', '\ufffd') : text;
  return HALF.test(whole) ? whole.replace(HALVES, '\ufffd') : whole;
};

const HALF = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;
const HALVES = new RegExp(HALF.source, 'g');
