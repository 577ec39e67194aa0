import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openEnvelope, rewrapEnvelope, sealEnvelope } from '../../src/secrets/envelope.ts';
import { localKey } from '../support/key-rings.ts';

const kek = localKey(randomBytes(32));
const record = { tenant: 'default', name: 'secret:db', version: 3 };
const content = Buffer.from('correct horse battery staple');

describe('envelope', () => {
  it('opens with its key and record', async () => {
    expect(await openEnvelope(kek, record, await sealEnvelope(kek, record, content, randomBytes))).toEqual(content);
  });

  it('holds empty content', async () => {
    const envelope = await sealEnvelope(kek, record, Buffer.alloc(0), randomBytes);
    expect(await openEnvelope(kek, record, envelope)).toEqual(Buffer.alloc(0));
  });

  it('does not contain its content, and no two are alike', async () => {
    const one = await sealEnvelope(kek, record, content, randomBytes);
    const other = await sealEnvelope(kek, record, content, randomBytes);
    expect(one.includes(content.subarray(0, 8))).toBe(false);
    expect(one.subarray(3, 15)).not.toEqual(other.subarray(3, 15));
    expect(one.subarray(63)).not.toEqual(other.subarray(63));
  });

  it('does not open with another key', async () => {
    const envelope = await sealEnvelope(kek, record, content, randomBytes);
    expect(await openEnvelope(localKey(randomBytes(32)), record, envelope)).toBeUndefined();
  });

  it.each([
    ['another name', { ...record, name: 'secret:other' }],
    ['another tenant', { ...record, tenant: 'other' }],
    ['another version', { ...record, version: 2 }],
    ['a boundary moved between tenant and name', { ...record, tenant: 'defaults', name: 'ecret:db' }],
  ])('does not open for %s', async (_, other) => {
    expect(await openEnvelope(kek, other, await sealEnvelope(kek, record, content, randomBytes))).toBeUndefined();
  });

  it('does not open with any one bit flipped', async () => {
    const envelope = await sealEnvelope(kek, record, content, randomBytes);
    for (let at = 0; at < envelope.length * 8; at++) {
      const altered = Buffer.from(envelope);
      altered[at >> 3] = (altered[at >> 3] as number) ^ (1 << (at & 7));
      expect(await openEnvelope(kek, record, altered), `bit ${at}`).toBeUndefined();
    }
  });

  it('does not open when truncated or extended', async () => {
    const envelope = await sealEnvelope(kek, record, content, randomBytes);
    for (let length = 0; length < envelope.length; length++) {
      expect(await openEnvelope(kek, record, envelope.subarray(0, length)), `${length} bytes`).toBeUndefined();
    }
    expect(await openEnvelope(kek, record, Buffer.concat([envelope, Buffer.alloc(1)]))).toBeUndefined();
  });

  it('opens for its own record only, whatever the names are', async () => {
    const records = fc.record({ tenant: fc.string(), name: fc.string(), version: fc.nat() });
    await fc.assert(
      fc.asyncProperty(records, records, fc.uint8Array(), async (mine, theirs, bytes) => {
        const envelope = await sealEnvelope(kek, mine, bytes, randomBytes);
        const isSame = mine.tenant === theirs.tenant && mine.name === theirs.name && mine.version === theirs.version;
        const opened = await openEnvelope(kek, theirs, envelope);
        expect(opened === undefined ? undefined : [...opened]).toEqual(isSame ? [...bytes] : undefined);
      }),
    );
  });

  it('of the first layout still opens, and is of the second once its key was wrapped anew', async () => {
    const second = await sealEnvelope(kek, record, content, randomBytes);
    const first = Buffer.concat([Buffer.from([1]), second.subarray(3)]);
    expect(await openEnvelope(kek, record, first)).toEqual(content);
    const next = localKey(randomBytes(32), 'file:kek-2');
    const rewrapped = await rewrapEnvelope(kek, next, record, first);
    expect(rewrapped?.[0]).toBe(2);
    expect(await openEnvelope(next, record, rewrapped as Buffer)).toEqual(content);
  });

  it('wrapped anew has the same content under the new key alone, for its own record alone', async () => {
    const next = localKey(randomBytes(32), 'file:kek-2');
    const envelope = await sealEnvelope(kek, record, content, randomBytes);
    const rewrapped = (await rewrapEnvelope(kek, next, record, envelope)) as Buffer;
    expect(rewrapped.subarray(63)).toEqual(envelope.subarray(63));
    expect(await openEnvelope(next, record, rewrapped)).toEqual(content);
    expect(await openEnvelope(kek, record, rewrapped)).toBeUndefined();
    expect(await openEnvelope(next, { ...record, version: 4 }, rewrapped)).toBeUndefined();
  });

  it('that does not open is not wrapped anew: what was altered stays what it is', async () => {
    const next = localKey(randomBytes(32), 'file:kek-2');
    const envelope = await sealEnvelope(kek, record, content, randomBytes);
    envelope[envelope.length - 1] = (envelope[envelope.length - 1] as number) ^ 1;
    expect(await rewrapEnvelope(kek, next, record, envelope)).toBeUndefined();
    expect(await rewrapEnvelope(next, kek, record, envelope)).toBeUndefined();
  });
});
