/** Words in a prompt, each reduced to its stem; made once a prompt. */
export type PromptWords = ReadonlySet<string>;

export function wordsOf(prompt: string): PromptWords {
  return new Set(
    (
      prompt
        .normalize('NFKC')
        .toLowerCase()
        .match(/\p{L}+/gu) ?? []
    ).map(stemOf),
  );
}

/** Whether any of the words by which a person asks for something is in a prompt. A phrase counts when all of its words are. */
export function asksFor(words: PromptWords, asked: readonly string[]): boolean {
  return asked.some((phrase) => {
    const stems = phrase.toLowerCase().match(/\p{L}+/gu) ?? [];
    return stems.length > 0 && stems.every((word) => words.has(stemOf(word)));
  });
}

/** English endings off, well enough that `sends`, `sending` and `send` meet. Words of other languages are compared as they are written. */
export function stemOf(word: string): string {
  const irregular = IRREGULAR[word];
  if (irregular !== undefined) return irregular;
  if (word.length <= 4)
    return word.length > 3 && word.endsWith('s') && !word.endsWith('ss') ? undouble(word.slice(0, -1)) : word;
  for (const [ending, put] of ENDINGS) {
    if (word.endsWith(ending) && word.length - ending.length >= 3) return undouble(word.slice(0, -ending.length) + put);
  }
  return undouble(word);
}

/** The mute e and a doubled letter go, so that `creating` meets `create` and `adding` meets `add`. */
function undouble(stem: string): string {
  const bare = stem.endsWith('e') && stem.length > 3 ? stem.slice(0, -1) : stem;
  return /([bcdfgklmnprst])\1$/.test(bare) && bare.length > 3 ? bare.slice(0, -1) : bare;
}

const ENDINGS: readonly (readonly [string, string])[] = [
  ['ies', 'y'],
  ['ied', 'y'],
  ['ing', ''],
  ['ed', ''],
  ['es', ''],
  ['s', ''],
];

const IRREGULAR: Readonly<Record<string, string>> = {
  sent: 'send',
  paid: 'pay',
  gave: 'give',
  given: 'give',
  wrote: 'writ',
  written: 'writ',
  made: 'mak',
  bought: 'buy',
  told: 'tell',
};
