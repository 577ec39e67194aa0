/** Two items of different connectors that a person or a model could take for one another (attack A21). */
export interface Shadow {
  /** `connector/name` of each, in the order of the names. */
  readonly refs: readonly string[];
  readonly reason: 'same_name' | 'confusable_name' | 'same_address';
}

export interface Named {
  readonly ref: string;
  readonly connector: string;
  readonly kind: string;
  readonly name: string;
}

/**
 * Finds names that more than one connector uses. Each connector's items stand under its registered id, so that none can take another's place;
 * but a model that is told "use `send_email`" picks either.
 */
export function findShadows(items: readonly Named[]): readonly Shadow[] {
  const groups = new Map<string, Named[]>();
  for (const item of items) {
    const key = `${item.kind} ${item.kind === 'resource' ? item.name : skeleton(item.name)}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [item]);
    else group.push(item);
  }
  const shadows: Shadow[] = [];
  for (const group of groups.values()) {
    if (new Set(group.map(({ connector }) => connector)).size < 2) continue;
    const names = new Set(group.map(({ name }) => name));
    shadows.push({
      refs: group.map(({ ref }) => ref).sort(),
      reason: group[0]?.kind === 'resource' ? 'same_address' : names.size === 1 ? 'same_name' : 'confusable_name',
    });
  }
  return shadows.sort((a, b) => ((a.refs[0] ?? '') < (b.refs[0] ?? '') ? -1 : 1));
}

/** Letters of other scripts, and digits, that are drawn like a Latin letter (of Unicode's confusables, those that pass for ASCII names). */
const LOOKALIKES: Readonly<Record<string, string>> = {
  а: 'a',
  е: 'e',
  о: 'o',
  р: 'p',
  с: 'c',
  у: 'y',
  х: 'x',
  і: 'i',
  ј: 'j',
  ѕ: 's',
  ԁ: 'd',
  һ: 'h',
  ո: 'n',
  ս: 'u',
  օ: 'o',
  α: 'a',
  ο: 'o',
  ρ: 'p',
  ν: 'v',
  ι: 'i',
  κ: 'k',
  τ: 't',
  ı: 'i',
  0: 'o',
  1: 'l',
  '|': 'l',
};

/** What a name looks like at a glance: no case, no separators, compatibility forms and look-alikes folded. */
function skeleton(name: string): string {
  const plain = name
    .normalize('NFKC')
    .toLowerCase()
    .replace(/[^\p{L}\p{N}|]/gu, '');
  return [...plain]
    .map((letter) => LOOKALIKES[letter] ?? letter)
    .join('')
    .replaceAll('i', 'l');
}
