/** One element of a pattern as Cedar writes it in JSON. */
type Element = 'Wildcard' | { readonly Literal: string };

/**
 * A test for Cedar's `like`, whose only wildcard stands for any number of characters; undefined for a pattern that is not known here.
 * Pieces are found from left to right, each as early as possible, which finds a match where there is one. Where pattern and text are
 * well-formed, units of UTF-16 match where characters do: no piece starts or ends within a pair.
 */
export function compileLike(pattern: unknown): ((text: string) => boolean) | undefined {
  if (!Array.isArray(pattern)) return undefined;
  const pieces = [''];
  for (const element of pattern as Element[]) {
    if (element === 'Wildcard') pieces.push('');
    else if (typeof element?.Literal === 'string') pieces.push((pieces.pop() as string) + element.Literal);
    else return undefined;
  }
  const [first = '', ...rest] = pieces;
  const last = rest.pop();
  if (last === undefined) return (text) => text === first;
  const middle = rest.filter((piece) => piece !== '');
  return (text) => {
    const end = text.length - last.length;
    if (end < first.length || !text.startsWith(first) || !text.endsWith(last)) return false;
    let at = first.length;
    for (const piece of middle) {
      const found = text.indexOf(piece, at);
      if (found < 0 || found + piece.length > end) return false;
      at = found + piece.length;
    }
    return true;
  };
}
