/** What the appender process writes at a position: also the suite's, which a process without vitest cannot import. */
export function suitePayload(number: number): Buffer {
  return Buffer.from(JSON.stringify({ number, filler: 'x'.repeat(number % 700) }));
}
