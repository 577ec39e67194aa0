import { describe, expect, it } from 'vitest';
import { type Revocation, Standing } from '../../src/domain/revocation.ts';
import { createRevocationReader, type Denial } from '../../src/revocation/revocation-reader.ts';
import { revoke } from '../../src/revocation/revoke.ts';
import { createFakeRevocationLog, createFakeTime, entryOf, settle, TENANT } from './fake-revocation-log.ts';

function makeNode(log = createFakeRevocationLog(), time = createFakeTime()) {
  const errors: object[] = [];
  const applied: Revocation[] = [];
  const denials: Denial[] = [];
  const standing = new Standing();
  const reader = createRevocationReader({
    tenant: TENANT,
    repository: log,
    standing,
    monotonic: () => time.now,
    schedule: time.schedule,
    log: { debug() {}, info() {}, warn() {}, error: (fields) => errors.push(fields) },
    async apply(row) {
      applied.push(row);
      if (row.reason === 'cannot be ended') throw new Error('a downstream is gone');
    },
    onDenial: (denial) => denials.push(denial),
  });
  return { log, time, applied, errors, denials, standing, reader };
}

const positions = (rows: readonly Revocation[]): number[] => rows.map(({ position }) => position);

describe('revocation reader', () => {
  it('V1 what another node appended is applied by the next reading, at most 250 ms later', async () => {
    const { log, time, applied, reader } = makeNode();
    await reader.start();
    await log.append(entryOf('suspend', 'agent', 'bot'));
    await log.append(entryOf('resume', 'agent', 'bot'));
    await time.pass(249);
    expect(applied).toEqual([]);
    await time.pass(1);
    expect(positions(applied)).toEqual([1, 2]);
  });

  it('V1 a gateway that cannot read denies 900 ms after its last reading began, says so once, and serves again by itself', async () => {
    const { log, time, applied, denials, reader } = makeNode();
    await reader.start();
    log.mode = 'fails';
    await log.append(entryOf('revoke')).catch(() => {});
    await time.pass(899);
    expect(reader.isCurrent()).toBe(true);
    await time.pass(1);
    expect(reader.isCurrent()).toBe(false);
    await time.pass(3_000);
    expect(denials).toMatchObject([{ isDenying: true, fault: 'the store does not answer', position: 0 }]);
    log.mode = 'serves';
    await log.append(entryOf('revoke'));
    await time.pass(250);
    expect(positions(applied)).toEqual([1]);
    expect(reader.isCurrent()).toBe(true);
    expect(denials).toMatchObject([
      { isDenying: true, unconfirmedMs: 1_000 },
      { isDenying: false, position: 1, unconfirmedMs: 4_000 },
    ]);
  });

  it('V1 a reading counts from before it was asked for: a slow answer confirms nothing newer than its question', async () => {
    const { log, time, reader, denials } = makeNode();
    await reader.start();
    log.mode = 'hangs';
    await time.pass(1_500);
    expect(reader.isCurrent()).toBe(false);
    log.release();
    await settle();
    // Asked for 1,250 ms ago.
    expect(reader.isCurrent()).toBe(false);
    log.mode = 'serves';
    await time.pass(250);
    expect(reader.isCurrent()).toBe(true);
    expect(denials.map(({ isDenying }) => isDenying)).toEqual([true, false]);
  });

  it('V1 a gateway that stood still denies from its first instruction on, before any timer has run', async () => {
    const { log, time, reader, denials } = makeNode();
    await reader.start();
    await log.append(entryOf('revoke'));
    time.stall(5_000);
    expect(reader.isCurrent()).toBe(false);
    await time.pass(0);
    expect(reader.isCurrent()).toBe(true);
    // Nobody was refused.
    expect(denials).toEqual([]);
  });

  it('V1 whoever comes first after the gateway stood still waits for one reading, and is refused only when that fails', async () => {
    const { log, time, applied, reader, denials } = makeNode();
    await reader.start();
    await log.append(entryOf('revoke'));
    time.stall(5_000);
    expect(await reader.retry()).toBe(true);
    expect(positions(applied)).toEqual([1]);
    time.stall(5_000);
    log.mode = 'fails';
    expect(await reader.retry()).toBe(false);
    expect(reader.denies()).toBe(true);
    log.mode = 'hangs';
    const waiting = reader.retry();
    await time.pass(250);
    expect(await waiting).toBe(false);
    expect(denials).toMatchObject([{ isDenying: true }]);
    log.mode = 'serves';
    log.release();
    await time.pass(500);
    expect(reader.denies()).toBe(false);
    expect(denials.map(({ isDenying }) => isDenying)).toEqual([true, false]);
    expect(await reader.retry()).toBe(false);
  });

  it('V3 a hint reads on at once, also while a reading is under way that may have begun too early', async () => {
    const { log, time, applied, reader } = makeNode();
    await reader.start();
    log.mode = 'hangs';
    const first = reader.poll();
    await settle();
    log.mode = 'serves';
    const second = reader.poll();
    log.release();
    await log.append(entryOf('revoke'));
    await first;
    await second;
    expect(positions(applied)).toEqual([1]);
    expect(time.now).toBe(1_000);
  });

  it('V1 what is appended here is applied before it is acknowledged, together with what came before it', async () => {
    const { log, applied, reader, time } = makeNode();
    await reader.start();
    await log.append(entryOf('suspend', 'agent', 'bot'));
    const order = { action: 'revoke', subject: { kind: 'task', id: 'tsk_1' }, by: 'dana', reason: 'test' } as const;
    const { row, bindsAt } = await revoke({ tenant: TENANT, repository: log, reader, clock: () => time.now }, order);
    expect(row.position).toBe(2);
    expect(bindsAt).toBe(2_000);
    expect(positions(applied)).toEqual([1, 2]);
    await time.pass(1_000);
    expect(positions(applied)).toEqual([1, 2]);
  });

  it('V1 an append that is not durable is not acknowledged, and one whose answer was lost is read like any other', async () => {
    const { log, applied, reader, time } = makeNode();
    await reader.start();
    const parts = { tenant: TENANT, repository: log, reader, clock: () => time.now };
    const order = { action: 'revoke', subject: { kind: 'all', id: '' }, by: 'dana', reason: 'test' } as const;
    log.mode = 'fails';
    await expect(revoke(parts, order)).rejects.toThrow('does not answer');
    expect(applied).toEqual([]);
    log.mode = 'serves';
    log.losesNextAnswer = true;
    await expect(revoke(parts, order)).rejects.toThrow('was lost');
    await time.pass(250);
    expect(positions(applied)).toEqual([1]);
  });

  it('V1 a log that is shorter than it was, or has a gap, confirms nothing', async () => {
    const { log, time, applied, reader, denials } = makeNode();
    for (let n = 0; n < 3; n += 1) await log.append(entryOf('revoke', 'task', `tsk_${n}`));
    await reader.start();
    const [first] = log.rows.splice(1);
    await time.pass(1_000);
    expect(reader.isCurrent()).toBe(false);
    expect(denials.at(-1)?.fault).toMatch(/ends at 1, and had reached 3/);
    log.rows.push(
      first as Revocation,
      { ...(first as Revocation), position: 3 },
      { ...(first as Revocation), position: 5 },
    );
    await time.pass(1_000);
    expect(applied).toEqual([]);
    expect(reader.isCurrent()).toBe(false);
    expect(denials).toHaveLength(1);
  });

  it('V1 a store that was put back from a copy, and has grown past it again with other rows, confirms nothing', async () => {
    const { log, time, applied, reader, denials } = makeNode();
    for (let n = 0; n < 3; n += 1) await log.append(entryOf('suspend', 'agent', `bot-${n}`));
    await reader.start();
    log.rows.splice(2);
    // Ordered elsewhere: on nodes that began with the copy.
    await log.append(entryOf('revoke', 'agent', 'robber'));
    await time.pass(1_000);
    expect(reader.isCurrent()).toBe(false);
    expect(denials.at(-1)?.fault).toMatch(/another row 3/);
    await log.append(entryOf('revoke'));
    await time.pass(1_000);
    expect(reader.isCurrent()).toBe(false);
    expect(positions(applied)).not.toContain(4);
  });

  it('V1 what is appended here does not hide that the row before it is another', async () => {
    const { log, time, reader, denials } = makeNode();
    await reader.start();
    await log.append(entryOf('suspend', 'agent', 'bot'));
    await time.pass(250);
    log.rows.splice(0);
    await log.append(entryOf('revoke', 'agent', 'robber'));
    await reader.take(await log.append(entryOf('revoke')));
    await time.pass(1_000);
    expect(reader.isCurrent()).toBe(false);
    expect(denials.at(-1)?.fault).toMatch(/another row 1/);
  });

  it('V1 a log whose last rows are not to be had confirms nothing', async () => {
    const { log, time, applied, reader, denials } = makeNode();
    await reader.start();
    log.read = async () => ({ head: 1, rows: [] });
    await time.pass(1_000);
    expect(applied).toEqual([]);
    expect(reader.isCurrent()).toBe(false);
    expect(denials.at(-1)?.fault).toMatch(/has a gap before 1/);
  });

  it('V1 many rows are read in pieces, and the position is confirmed behind the last', async () => {
    const { log, time, applied, reader } = makeNode();
    await reader.start();
    for (let n = 1; n <= 1_203; n += 1) await log.append(entryOf('revoke', 'task', `tsk_${n}`));
    await time.pass(250);
    expect(applied).toHaveLength(1_203);
    expect(reader.isCurrent()).toBe(true);
  });

  it('what could not all be ended is logged, and keeps no later row from being applied', async () => {
    const { log, time, reader, standing, errors } = makeNode();
    await reader.start();
    await log.append({ ...entryOf('suspend', 'agent', 'a'), reason: 'cannot be ended' });
    await log.append(entryOf('suspend', 'agent', 'b'));
    await time.pass(250);
    expect(errors).toEqual([{ position: 1, error: 'a downstream is gone' }]);
    expect(standing.held().map(({ position }) => position)).toEqual([1, 2]);
    expect(reader.isCurrent()).toBe(true);
  });
});
