import pc from 'picocolors';
import { ERROR_EXIT_CODES, messageOf, RemitError } from '../domain/errors.ts';

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
      process.stdout.write(isJson ? `${JSON.stringify(value, null, 2)}\n` : `${human()}\n`);
    },
    note(text) {
      if (!isJson) process.stderr.write(`${text}\n`);
    },
  };
}

/** Aligned columns; empty rows are said, not shown as nothing. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[], empty: string): string {
  if (rows.length === 0) return empty;
  const all = [headings, ...rows];
  const widths = headings.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  return [pc.dim(line(headings)), ...rows.map(line)].join('\n');
}

/** Prints an error with its place and next step and gives the exit code. */
export function reportError(error: unknown, isJson: boolean): number {
  const known =
    error instanceof RemitError ? error : new RemitError('ERR_INTERNAL', messageOf(error), { cause: error });
  if (isJson) {
    const { code, message, where, hint } = known;
    process.stderr.write(`${JSON.stringify({ error: { code, message, where, hint } })}\n`);
  } else {
    const lines = [`${pc.red('error')} ${known.code}: ${known.message}`];
    if (known.where !== undefined && !known.message.includes(known.where)) lines.push(`  where: ${known.where}`);
    if (known.hint !== undefined) lines.push(`  next:  ${known.hint}`);
    process.stderr.write(`${lines.join('\n')}\n`);
    if (known.code === 'ERR_INTERNAL' && process.env.REMIT_DEBUG)
      process.stderr.write(`${String((error as Error).stack)}\n`);
  }
  return ERROR_EXIT_CODES[known.code];
}
