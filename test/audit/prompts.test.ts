import { describe, expect, it } from 'vitest';
import { createPrompts, digestOf } from '../../src/audit/prompts.ts';
import type { RecordEntry } from '../../src/audit/recorder.ts';
import { readGivenPrompt } from '../../src/domain/prompt.ts';
import { IDENTITY, NOW, TASK } from './fixtures.ts';

const OWNER = { trace: IDENTITY.trace, agent: IDENTITY.agent, task: TASK };
const HELLO = 'sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824';

function world(mode: 'digest' | 'text' = 'digest', fault?: Error) {
  const entries: RecordEntry[] = [];
  const time = { now: NOW };
  let spans = 0;
  const prompts = createPrompts({
    mode,
    recorder: {
      record: async (entry) => {
        if (fault !== undefined) throw fault;
        return entries.push(entry);
      },
    },
    recordLater: (entry) => void entries.push(entry),
    newSpan: () => `span-${++spans}`,
    clock: () => time.now,
  });
  return { prompts, entries, time };
}

describe('what may stand for a prompt', () => {
  it('is a digest, or an object with a digest or a text, and nothing else', () => {
    expect(readGivenPrompt(HELLO)).toEqual({ digest: HELLO });
    expect(readGivenPrompt({ digest: HELLO })).toEqual({ digest: HELLO });
    expect(readGivenPrompt({ text: 'hello' })).toEqual({ text: 'hello' });
    for (const none of [
      undefined,
      null,
      7,
      'hello',
      HELLO.toUpperCase(),
      `${HELLO}0`,
      {},
      { digest: 'x' },
      { text: 7 },
      { text: 'a', digest: HELLO },
    ])
      expect(readGivenPrompt(none)).toBeUndefined();
  });
});

describe('prompts', () => {
  it('A2 go on the record of their task, and every later decision can name them', async () => {
    const { prompts, entries } = world();
    expect(prompts.textOf(TASK)).toBe('');
    await prompts.note(OWNER, { text: 'hello' }, { source: 'hook', session: 'abc', clientPromptId: 'p1' });
    expect(entries).toEqual([
      {
        type: 'prompt',
        ...OWNER,
        span: 'span-1',
        detail: { digest: HELLO, source: 'hook', session: 'abc', clientPromptId: 'p1' },
      },
    ]);
    expect(prompts.textOf(TASK)).toBe(`,"prompt":"${HELLO}"`);
  });

  it('A5 keep the text only where that is configured, and sealed', async () => {
    const digests = world('digest');
    await digests.prompts.note(OWNER, { text: 'hello' }, { source: 'hook' });
    expect(JSON.stringify(digests.entries)).not.toContain('hello');
    const texts = world('text');
    await texts.prompts.note(OWNER, { text: 'hello' }, { source: 'hook' });
    expect(texts.entries[0]).toMatchObject({ input: 'hello', span: 'span-1', detail: { digest: HELLO } });
    await texts.prompts.note(OWNER, { digest: `sha256:${'0'.repeat(64)}` }, { source: 'hook' });
    expect(texts.entries[1]).not.toHaveProperty('input');
  });

  it('I3 leave a text out that is too long, and say so', async () => {
    const { prompts, entries } = world('text');
    await prompts.note(OWNER, { text: 'x'.repeat(65_537) }, { source: 'hook' });
    expect(entries[0]).not.toHaveProperty('input');
    expect(entries[0]?.detail).toMatchObject({ textLeftOut: expect.stringContaining('65536') });
  });

  it('are recorded when they change, and not again while they stay', async () => {
    const { prompts, entries } = world();
    prompts.noteLater(OWNER, { text: 'hello' }, { source: 'request' });
    prompts.noteLater(OWNER, { text: 'hello' }, { source: 'request' });
    await prompts.note(OWNER, { digest: HELLO }, { source: 'hook' });
    expect(entries).toHaveLength(1);
    prompts.noteLater(OWNER, { text: 'and then?' }, { source: 'request' });
    expect(entries).toHaveLength(2);
    expect(prompts.textOf(TASK)).toContain(digestOf({ text: 'and then?' }));
  });

  it('that could not be recorded are not in force', async () => {
    const { prompts } = world('digest', new Error('disk full'));
    await expect(prompts.note(OWNER, { text: 'hello' }, { source: 'hook' })).rejects.toThrow('disk full');
    expect(prompts.textOf(TASK)).toBe('');
  });

  it('I3 are taken at a bounded rate, and taken again later', async () => {
    const { prompts, entries, time } = world();
    let taken = 0;
    for (let n = 0; n < 500; n++)
      taken += (await prompts.note(OWNER, { text: `prompt ${n}` }, { source: 'hook' })) ? 1 : 0;
    expect(taken).toBeLessThan(130);
    expect(entries).toHaveLength(taken);
    time.now += 60_001;
    expect(await prompts.note(OWNER, { text: 'later' }, { source: 'hook' })).toBe(true);
  });

  it('are restored after a restart, and forgotten with their task', () => {
    const { prompts, entries } = world();
    prompts.restore(TASK, HELLO);
    prompts.noteLater(OWNER, { text: 'hello' }, { source: 'request' });
    expect(entries).toEqual([]);
    prompts.forget(TASK);
    expect(prompts.textOf(TASK)).toBe('');
  });
});
