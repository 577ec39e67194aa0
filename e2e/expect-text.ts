export const messageOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).slice(0, 1_500);

/** What is wrong with what a client printed; undefined: nothing. */
export function expectText(text: string, expected: RegExp, isError: boolean): string | undefined {
  if (!isError && expected.test(text)) return undefined;
  return `${isError ? 'an error came' : `${expected} did not come`}: ${text.slice(0, 200)} … ${text.slice(-800)}`;
}
