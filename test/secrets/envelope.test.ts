import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openEnvelope, sealEnvelope } from '../../src/secrets/envelope.ts';

const kek = randomBytes(32);
const record = { tenant: 'default', name: 'secret:db', version: 3 };
const content = Buffer.from('correct horse battery staple');

describe('envelope', () => {
  it('opens with its key and record', () => {
    expect(openEnvelope(kek, record, sealEnvelope(kek, record, content, randomBytes))).toEqual(content);
  });

  it('holds empty content', () => {
    const envelope = sealEnvelope(kek, record, Buffer.alloc(0), randomBytes);
    expect(openEnvelope(kek, record, envelope)).toEqual(Buffer.alloc(0));
  });

  it('does not contain its content, and no two are alike', () => {
    const one = sealEnvelope(kek, record, content, randomBytes);
    const other = sealEnvelope(kek, record, content, randomBytes);
    expect(one.includes(content.subarray(0, 8))).toBe(false);
    expect(one.subarray(1, 13)).not.toEqual(other.subarray(1, 13));
    expect(one.subarray(61)).not.toEqual(other.subarray(61));
  });

  it('does not open with another key', () => {
    const envelope = sealEnvelope(kek, record, content, randomBytes);
    expect(openEnvelope(randomBytes(32), record, envelope)).toBeUndefined();
  });

  it.each([
    ['another name', { ...record, name: 'secret:other' }],
    ['another tenant', { ...record, tenant: 'other' }],
    ['another version', { ...record, version: 2 }],
    ['a boundary moved between tenant and name', { ...record, tenant: 'defaults', name: 'ecret:db' }],
  ])('does not open for %s', (_, other) => {
    expect(openEnvelope(kek, other, sealEnvelope(kek, record, content, randomBytes))).toBeUndefined();
  });

  it('does not open with any one bit flipped', () => {
    const envelope = sealEnvelope(kek, record, content, randomBytes);
    for (let at = 0; at < envelope.length * 8; at++) {
      const altered = Buffer.from(envelope);
      altered[at >> 3] = (altered[at >> 3] as number) ^ (1 << (at & 7));
      expect(openEnvelope(kek, record, altered), `bit ${at}`).toBeUndefined();
    }
  });

  it('does not open when truncated or extended', () => {
    const envelope = sealEnvelope(kek, record, content, randomBytes);
    for (let length = 0; length < envelope.length; length++) {
      expect(openEnvelope(kek, record, envelope.subarray(0, length)), `${length} bytes`).toBeUndefined();
    }
    expect(openEnvelope(kek, record, Buffer.concat([envelope, Buffer.alloc(1)]))).toBeUndefined();
  });

  it('opens for its own record only, whatever the names are', () => {
    const records = fc.record({ tenant: fc.string(), name: fc.string(), version: fc.nat() });
    fc.assert(
      fc.property(records, records, fc.uint8Array(), (mine, theirs, bytes) => {
        const envelope = sealEnvelope(kek, mine, bytes, randomBytes);
        const isSame = mine.tenant === theirs.tenant && mine.name === theirs.name && mine.version === theirs.version;
        const opened = openEnvelope(kek, theirs, envelope);
        expect(opened === undefined ? undefined : [...opened]).toEqual(isSame ? [...bytes] : undefined);
      }),
    );
  });
});
