import { afterEach, describe, expect, it, vi } from 'vitest';
import { createOutput, jsonText, lineText, reportError, table } from '../../src/cli/output.ts';
import { createSystem } from '../../src/compose/system.ts';
import { RemitError } from '../../src/domain/errors.ts';

/** Clears the screen, hides what follows, turns text around, smuggles tags, and forges a line. */
const HOSTILE = 'x\u001b[2J\u001b[8m\u009b31m\u202egnp\u200b\u{e0041}\nFORGED';
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
const DANGEROUS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b\u202e]|\u{e0041}/u;

function written(stream: NodeJS.WriteStream): () => string {
  const spy = vi.spyOn(stream, 'write').mockReturnValue(true);
  return () => spy.mock.calls.map(([text]) => String(text)).join('');
}

afterEach(() => vi.restoreAllMocks());

describe('text of others on the operator’s terminal', () => {
  it('a table shows it on one line, with its escapes', () => {
    const text = written(process.stdout);
    createOutput(false).result(null, () => table(['A', 'B'], [[HOSTILE, 'end']], 'none'));
    expect(text()).not.toMatch(DANGEROUS);
    expect(text().trimEnd().split('\n')).toHaveLength(2);
    expect(text()).toContain('x\\u{1b}[2J');
    expect(text()).toContain('\\nFORGED  end');
  });

  it('our own colours and lines stay, others do not', () => {
    const text = written(process.stdout);
    createOutput(false).result(null, () => `\u001b[32mok\u001b[39m\n\u001b[8mhidden\u001b]0;title\u0007`);
    expect(text()).toBe('\u001b[32mok\u001b[39m\n\\u{1b}[8mhidden\\u{1b}]0;title\\u{7}\n');
  });

  it('a note, an error and a log line neither command nor forge', () => {
    const text = written(process.stderr);
    createOutput(false).note(HOSTILE);
    reportError(new RemitError('ERR_CONNECTOR_PROTOCOL', HOSTILE, { hint: HOSTILE }), false);
    reportError(new RemitError('ERR_CONNECTOR_PROTOCOL', HOSTILE), true);
    // The mark `error` may be coloured by us.
    expect(text().replaceAll('\u001b[31m', '').replaceAll('\u001b[39m', '')).not.toMatch(DANGEROUS);
    vi.restoreAllMocks();
    const logged = written(process.stderr);
    createSystem({ log: 'pretty' }).log.warn({ error: HOSTILE }, HOSTILE);
    expect(logged()).not.toMatch(DANGEROUS);
    expect(logged().trimEnd().split('\n')).toHaveLength(1);
  });

  it('JSON keeps the value and hides nothing', () => {
    const value = { purpose: HOSTILE };
    expect(jsonText(value, 2)).not.toMatch(DANGEROUS);
    expect(JSON.parse(jsonText(value, 2))).toEqual(value);
    expect(lineText('Grüße, 日本語 👍')).toBe('Grüße, 日本語 👍');
  });
});
