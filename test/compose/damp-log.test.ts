import { describe, expect, it } from 'vitest';
import { dampLog } from '../../src/compose/damp-log.ts';
import { createFakeTime } from '../support/fake-lease-time.ts';

describe('a log that says the same again', () => {
  function damped() {
    const lines: unknown[] = [];
    const say = (level: string) => (fields: object, message: string) => void lines.push([level, message, fields]);
    const time = createFakeTime();
    const log = dampLog(
      { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') },
      time.schedule,
    );
    return { lines, time, log };
  }

  it('stands once in ten seconds, with how often it came again; nothing where it did not', async () => {
    const { lines, time, log } = damped();
    const away = () => log.warn({ position: 7, error: 'away' }, 'not read');
    for (let index = 0; index < 5; index++) away();
    expect(lines).toEqual([['warn', 'not read', { position: 7, error: 'away' }]]);
    await time.advance(10_000);
    expect(lines.slice(1)).toEqual([['warn', 'not read', { position: 7, error: 'away', repeated: 4 }]]);
    away();
    await time.advance(9_999);
    expect(lines).toHaveLength(2);
    await time.advance(1);
    expect(lines.slice(2)).toEqual([['warn', 'not read', { position: 7, error: 'away', repeated: 1 }]]);
    await time.advance(60_000);
    expect(lines).toHaveLength(3);
    expect(time.pending).toBe(0);
    away();
    expect(lines.slice(3)).toEqual([['warn', 'not read', { position: 7, error: 'away' }]]);
  });

  it('is of other things, of another level, or no warning: it is written', () => {
    const { lines, log } = damped();
    log.warn({ lease: 'a' }, 'not revoked');
    log.warn({ lease: 'b' }, 'not revoked');
    log.error({ lease: 'a' }, 'not revoked');
    log.warn({ lease: 'a' }, 'not issued');
    log.info({}, 'served');
    log.info({}, 'served');
    log.debug({}, 'asked');
    log.debug({}, 'asked');
    expect(lines).toHaveLength(8);
  });

  it('remembers no more than a thousand lines, and writes the others', () => {
    const { lines, log } = damped();
    for (let round = 0; round < 2; round++) for (let index = 0; index < 1_001; index++) log.error({ index }, 'failed');
    expect(lines).toHaveLength(1_002);
  });
});
