import { describe, expect, it } from 'vitest';
import { describeNatsScope, natsPermissions, natsScope } from '../../src/adapters/issuers/nats-scope.ts';
import type { ActionClass } from '../../src/domain/tool.ts';

const TAG = 'remit_aaaaaaaaaa';
const of = (resources: string[], ...classes: ActionClass[]) => natsPermissions(natsScope(resources, classes), TAG);

describe('subjects of a NATS scope', () => {
  it('a class that reads hears, and publishes nothing', () => {
    expect(of(['orders.>', 'a.*.b'], 'read')).toEqual({
      pub: { allow: [], deny: ['>'] },
      sub: { allow: ['orders.>', 'a.*.b'], deny: [] },
    });
  });

  it('a class that writes publishes, and hears replies to its own requests alone', () => {
    expect(of(['orders.new'], 'write')).toEqual({
      pub: { allow: ['orders.new'], deny: [] },
      sub: { allow: [`_INBOX_${TAG}.>`], deny: [] },
    });
  });

  it('nothing asked for opens nothing: an empty list would open everything', () => {
    expect(natsPermissions(undefined, TAG)).toEqual({
      pub: { allow: [], deny: ['>'] },
      sub: { allow: [], deny: ['>'] },
    });
  });

  it.each<[ActionClass[], string]>([
    [['read', 'write'], 'subscribe, publish on a.b'],
    [['export'], 'subscribe on a.b'],
    [['ticket', 'code'], 'publish on a.b'],
  ])('%j is shown as what it opens', (classes, text) => {
    expect(describeNatsScope(natsScope(['a.b', 'a.b'], classes))).toBe(text);
  });

  it.each([['code'], ['privilege'], ['secret'], []])('%s opens none', (...classes) => {
    expect(() => natsScope(['a'], classes as ActionClass[])).toThrow(/open no subject/);
  });

  it.each([
    '',
    '.',
    'a.',
    '.a',
    'a..b',
    'a b',
    'a\tb',
    'a.>.b',
    'a.b>',
    'a.*b',
    '>',
    '*',
    '*.orders',
    '$SYS.>',
    '$JS.API.>',
    '$KV.x.>',
    '_INBOX.>',
    '_INBOX_remit_other.>',
    'a.\ud800',
    `a.${'b'.repeat(300)}`,
  ])('%j is refused', (subject) => {
    expect(() => natsScope([subject], ['read'])).toThrow(
      expect.objectContaining({ code: 'ERR_CREDENTIAL_ISSUE', where: subject, hint: expect.stringMatching(/.+/) }),
    );
  });

  it('nothing unnamed is opened, and not too much', () => {
    expect(() => natsScope([], ['read'])).toThrow(/names no resource/);
    expect(() =>
      natsScope(
        Array.from({ length: 201 }, (_, at) => `a.${at}`),
        ['read'],
      ),
    ).toThrow(/the most is 200/);
  });
});
