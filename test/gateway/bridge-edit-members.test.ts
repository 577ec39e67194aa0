import { describe, expect, it } from 'vitest';
import { editMembers, withHead, withHeadInChunks } from '../../src/gateway/bridge/edit-members.ts';

async function inChunks(text: string, size: number, head: string): Promise<string> {
  async function* pieces() {
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
  }
  const out: Buffer[] = [];
  for await (const chunk of withHeadInChunks(pieces(), head)) out.push(chunk);
  return Buffer.concat(out).toString();
}

describe('members of a JSON text', () => {
  it('are replaced, added and left out; every other byte stays', () => {
    const text = ' { "a" : 12345678901234567890 , "b":{"b":["}",{"b":1}]},"c":"x\\"}",  "d":null}';
    expect(editMembers(text, { b: '2', e: '[3]' })).toBe(
      '{"a" : 12345678901234567890,"c":"x\\"}","d":null,"b":2,"e":[3]}',
    );
    expect(editMembers(text, { a: null, b: null, c: null, d: null })).toBe('{}');
    expect(editMembers('{}', { a: '1' })).toBe('{"a":1}');
    expect(editMembers('{"a":true ,"b":-1.5e3\n}', { x: null })).toBe('{"a":true,"b":-1.5e3}');
  });

  it('go by their meaning: escaped and doubled names, and names that objects have of themselves', () => {
    expect(editMembers('{"\\u0061":1,"a":2,"b":3,"__proto__":4}', { a: null })).toBe('{"b":3,"__proto__":4}');
    expect(editMembers('{"constructor":1,"\\\\":2}', { x: null })).toBe('{"constructor":1,"\\\\":2}');
  });

  it('can be put first', async () => {
    expect(withHead('{}', '"r":1')).toBe('{"r":1}');
    expect(withHead(' { }', '"r":1')).toBe('{"r":1 }');
    expect(withHead('{"a":1}', '"r":1')).toBe('{"r":1,"a":1}');
    for (const size of [1, 2, 3, 100]) {
      expect(await inChunks('{"a":"{"}', size, '"r":1')).toBe('{"r":1,"a":"{"}');
      expect(JSON.parse(await inChunks(' \n{ \n}', size, '"r":1'))).toEqual({ r: 1 });
      expect(JSON.parse(await inChunks('\t{ \n"a" : [] }', size, '"r":1'))).toEqual({ r: 1, a: [] });
    }
  });
});
