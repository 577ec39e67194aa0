/** A text or number within a value, and where it stands: `recipients[0]`. */
export interface Scalar {
  readonly path: string;
  readonly text: string;
}

/** Deeper and further ones are not read: what is not read is vouched for by nothing. */
const MAX_DEPTH = 16;
const MAX_COUNT = 2_000;

/** The texts and numbers of an argument, in order. Names of members are none. @throws RangeError for more than can be judged */
export function scalarsOf(value: unknown, path: string): Scalar[] {
  const found: Scalar[] = [];
  collect(value, path, 0, found);
  return found;
}

function collect(value: unknown, path: string, depth: number, into: Scalar[]): void {
  if (depth > MAX_DEPTH || into.length >= MAX_COUNT) throw new RangeError('more than can be judged');
  if (typeof value === 'string') {
    if (value.trim() !== '') into.push({ path, text: value });
  } else if (typeof value === 'number' || typeof value === 'bigint') into.push({ path, text: String(value) });
  else if (Array.isArray(value))
    for (const [index, one] of value.entries()) collect(one, `${path}[${index}]`, depth + 1, into);
  else if (typeof value === 'object' && value !== null) {
    for (const [name, member] of Object.entries(value)) collect(member, `${path}.${name}`, depth + 1, into);
  }
}
