import picocolors from 'picocolors';
import { ERROR_EXIT_CODES, messageOf, RemitError } from '../domain/errors.ts';
import { printable, printableJson } from '../domain/visible-text.ts';

/**
 * Colours on a terminal only: what goes into a file, a pipe or a CI log is plain. The library would also colour wherever `CI` is set.
 */
export const colours = picocolors.createColors(
  process.stdout.isTTY === true && process.stderr.isTTY === true && picocolors.isColorSupported,
);

/** How commands speak: tables and sentences for people, one JSON document with `--json`. */
export interface Output {
  readonly isJson: boolean;
  /** The result of a command: printed as JSON with `--json`, else by `human`. */
  result(value: unknown, human: () => string): void;
  /** Progress for people, on standard error; silent with `--json`. */
  note(text: string): void;
}

export function createOutput(isJson: boolean): Output {
  return {
    isJson,
    result(value, human) {
      process.stdout.write(`${isJson ? jsonText(value, 2) : forTerminal(human())}\n`);
    },
    note(text) {
      if (!isJson) process.stderr.write(`${forTerminal(text)}\n`);
    },
  };
}

/** What of a text may reach a terminal as it is: its lines, and the colours that we write ourselves. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const OURS = /(\n|\u001b\[(?:[12]|22|3[1236]|39)m)/;

/**
 * Text of several lines for people: nothing in it can command the terminal or hide. A single value that somebody else wrote goes through
 * `lineText` first, so that it cannot pass for a line of ours either.
 */
function forTerminal(text: string): string {
  return text
    .split(OURS)
    .map((part, index) => (index % 2 === 1 ? part : printable(part)))
    .join('');
}

/** How long ago, in the largest unit that says something. */
export function ageText(ms: number): string {
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 120) return `${Math.max(0, minutes)} min`;
  return minutes < 2_880 ? `${Math.floor(minutes / 60)} h` : `${Math.floor(minutes / 1_440)} days`;
}

/** Values of others for people, on one line. */
export const lineText = printable;

/** JSON that a terminal may show as it is. */
export function jsonText(value: unknown, indent?: number): string {
  return printableJson(JSON.stringify(value, null, indent));
}

/** Aligned columns; empty rows are said, not shown as nothing. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[], empty: string): string {
  if (rows.length === 0) return empty;
  const clean = rows.map((row) => row.map(lineText));
  const all = [headings, ...clean];
  const widths = headings.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  return [colours.dim(line(headings)), ...clean.map(line)].join('\n');
}

/** Prints an error with its place and next step and gives the exit code. */
export function reportError(error: unknown, isJson: boolean): number {
  const known =
    error instanceof RemitError ? error : new RemitError('ERR_INTERNAL', messageOf(error), { cause: error });
  if (isJson) {
    const { code, message, where, hint } = known;
    process.stderr.write(`${jsonText({ error: { code, message, where, hint } })}\n`);
  } else {
    const lines = [`${colours.red('error')} ${known.code}: ${known.message}`];
    if (known.where !== undefined && !known.message.includes(known.where)) lines.push(`  where: ${known.where}`);
    if (known.hint !== undefined) lines.push(`  next:  ${known.hint}`);
    process.stderr.write(`${forTerminal(lines.join('\n'))}\n`);
    if (known.code === 'ERR_INTERNAL' && process.env.REMIT_DEBUG)
      process.stderr.write(`${String((error as Error).stack)}\n`);
  }
  return ERROR_EXIT_CODES[known.code];
}
