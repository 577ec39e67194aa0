import { describe, expect, it } from 'vitest';
import type { TemplateFlow } from '../../src/domain/task.ts';
import { createMarkedValues, MAX_VALUES } from '../../src/flow/marked-values.ts';
import { NOW, PRINTER } from '../support/fake-gateway-parts.ts';
import { asResult, call, newFlow, taskOf, tool, untrusted } from './office.ts';

const trusted = { ...untrusted, trust: 'trusted' } as const;
const VAULT = tool(
  'vault-get',
  { source: { ...trusted, fields: { pin: 'pin' } } },
  { dataClasses: ['secret'], connector: 'vault' },
);
const OFFICE = tool('office-get', { source: trusted }, { dataClasses: ['secret'] });
const PLAIN = tool('plain-get', { source: trusted }, { dataClasses: ['internal'], connector: 'vault' });
const TICKET = tool('ticket', { source: trusted, sink: 'internal' }, { actionClass: 'ticket' });
const MAIL = tool(
  'mail',
  { source: trusted, sink: 'external', critical: { to: 'address' } },
  { actionClass: 'export' },
);
const LOOK = tool('look', { source: trusted });

/** The owner lets what was read in the vault’s zone go to the office’s. */
const CROSSES: TemplateFlow = {
  isNarrowedByPrompt: false,
  destinations: ['*@shop.example'],
  crossings: ['secure>internal', 'internal>secure'],
  outwardCalls: undefined,
  connectors: undefined,
};
const KEY = 'sk-live-4f9a81c27be03d';

function fixture(more: { acrossMs?: number; clock?: () => number; dataClasses?: string[] } = {}) {
  const { acrossMs, clock = () => NOW, dataClasses = ['secret'] } = more;
  const tasks = [taskOf('tsk_a'), taskOf('tsk_b')] as const;
  const flow = newFlow(tasks, { marked: createMarkedValues({ printer: PRINTER, dataClasses, acrossMs, clock }) });
  return { flow, a: tasks[0], b: tasks[1] };
}

describe('a value of a marked class', () => {
  it('F9 does not go to another zone, although the template lets what was read there go', () => {
    const { flow, a } = fixture();
    call(flow, a, VAULT, {}, { key: KEY, note: 'rotate it in June' }, CROSSES);
    expect(call(flow, a, TICKET, { text: 'rotate it in June' }, undefined, CROSSES)).toBeUndefined();
    const question = { task: a, template: CROSSES, item: TICKET, args: { text: `use ${KEY}` } };
    expect(flow.judge(question).hold).toEqual({
      rule: 'remit:zone',
      reason: 'text holds a value of class secret that was read in zone secure (vault/vault-get).',
      from: {
        argument: 'text',
        from: 'holds a value of class secret that was read in zone secure (vault/vault-get)',
        isTrusted: false,
      },
    });
  });

  it.each([
    ['in base64', Buffer.from(`key: ${KEY}`).toString('base64')],
    ['in hex', Buffer.from(KEY).toString('hex')],
    ['in capitals and within something', `x${KEY.toUpperCase()}y`],
    ['with space in it', KEY.replace(/(....)/g, '$1 ')],
    ['in percent signs', encodeURIComponent(KEY).replaceAll('-', '%2d')],
  ])('nor %s', (_title, text) => {
    const { flow, a } = fixture();
    call(flow, a, VAULT, {}, { key: KEY }, CROSSES);
    expect(call(flow, a, TICKET, { text }, undefined, CROSSES)).toBe('remit:zone');
  });

  it.each([
    ['an account in groups', 'DE89 3704 0044 0532 0130 00', 'to DE89370400440532013000'],
    ['a card with hyphens', '4111-1111-1111-1111', '4111 1111 1111 1111'],
    ['a piece of a path', 'https://files.example/d/1BxiMVs0XRA5nFMd', '1bximvs0xra5nfmd'],
    ['a long word', 'correcthorsebatterystaplexyz', 'correcthorsebatterystaplexyz'],
  ])('is known again as %s', (_title, read, text) => {
    const { flow, a } = fixture();
    call(flow, a, VAULT, {}, read, CROSSES);
    expect(call(flow, a, TICKET, { text }, undefined, CROSSES)).toBe('remit:zone');
    expect(call(flow, a, TICKET, { text: 'nothing of it 12345678' }, undefined, CROSSES)).toBeUndefined();
  });

  it('is no word and no date; what the system issues is one however short', () => {
    const { flow, a } = fixture();
    call(flow, a, VAULT, {}, { pin: '4711', due: '2026-11-28', at: '2026-11-28T10:15:00Z', who: 'Dora Day' }, CROSSES);
    expect(call(flow, a, TICKET, { text: 'Dora Day, 2026-11-28' }, undefined, CROSSES)).toBeUndefined();
    expect(call(flow, a, TICKET, { text: 'the pin is 4711' }, undefined, CROSSES)).toBe('remit:zone');
  });

  it('stays in its zone, and leaves it to the outside no more than to another', () => {
    const { flow, a } = fixture();
    call(flow, a, OFFICE, {}, { key: KEY }, CROSSES);
    expect(call(flow, a, TICKET, { text: KEY }, undefined, CROSSES)).toBeUndefined();
    expect(call(flow, a, MAIL, { to: 'dora@shop.example', body: KEY }, undefined, CROSSES)).toBe('remit:zone');
    expect(call(flow, a, MAIL, { to: 'dora@shop.example', body: 'hi' }, undefined, CROSSES)).toBeUndefined();
  });

  it('is looked for in what can carry something alone, and only of classes that are marked', () => {
    const { flow, a } = fixture();
    call(flow, a, VAULT, {}, { key: KEY }, CROSSES);
    expect(call(flow, a, LOOK, { for: KEY }, undefined, CROSSES)).toBeUndefined();
    const unmarked = fixture();
    call(unmarked.flow, unmarked.a, PLAIN, {}, { key: KEY }, CROSSES);
    expect(call(unmarked.flow, unmarked.a, TICKET, { text: KEY }, undefined, CROSSES)).toBeUndefined();
    const off = fixture({ dataClasses: [] });
    call(off.flow, off.a, VAULT, {}, { key: KEY }, CROSSES);
    expect(call(off.flow, off.a, TICKET, { text: KEY }, undefined, CROSSES)).toBeUndefined();
  });

  it('counts for other tasks where that is configured, for as long as that says', () => {
    const apart = fixture();
    call(apart.flow, apart.a, VAULT, {}, { key: KEY }, CROSSES);
    expect(call(apart.flow, apart.b, TICKET, { text: KEY }, undefined, CROSSES)).toBeUndefined();
    let now = NOW;
    const { flow, a, b } = fixture({ acrossMs: 1_000, clock: () => now });
    call(flow, a, VAULT, {}, { key: KEY }, CROSSES);
    flow.forget(a.id);
    now += 999;
    expect(call(flow, b, TICKET, { text: KEY }, undefined, CROSSES)).toBe('remit:zone');
    now += 2_001;
    expect(call(flow, b, TICKET, { text: KEY }, undefined, CROSSES)).toBeUndefined();
  });

  describe('what a task has read of it and is not known by now holds whatever may carry it', () => {
    it('after a restart', () => {
      const { flow, a } = fixture();
      flow.restore(a, { labels: { trust: 'trusted', dataClasses: ['secret'], zones: ['secure'] }, outward: 0 });
      expect(call(flow, a, TICKET, { text: 'anything' }, undefined, CROSSES)).toBe('remit:zone');
      expect(call(flow, a, LOOK, {}, undefined, CROSSES)).toBeUndefined();
    });

    it('where a result passed in pieces', () => {
      const { flow, a } = fixture();
      call(flow, a, VAULT, {}, undefined, CROSSES);
      expect(call(flow, a, TICKET, { text: 'x' }, undefined, CROSSES)).toBeUndefined();
      flow.note(a, VAULT, undefined);
      expect(call(flow, a, TICKET, { text: 'x' }, undefined, CROSSES)).toBe('remit:zone');
    });

    it('I3 where there were more values than are kept of a family, or more text than is looked through', () => {
      const many = fixture();
      const values = Array.from({ length: MAX_VALUES + 1 }, (_, index) => `value-${100_000 + index}`);
      call(many.flow, many.a, VAULT, {}, values, CROSSES);
      expect(call(many.flow, many.a, TICKET, { text: 'x' }, undefined, CROSSES)).toBe('remit:zone');
      const long = fixture();
      call(long.flow, long.a, VAULT, {}, 'word '.repeat(300_000), CROSSES);
      expect(call(long.flow, long.a, TICKET, { text: 'x' }, undefined, CROSSES)).toBe('remit:zone');
    });
  });

  it('is known of an error as well', () => {
    const { flow, a } = fixture();
    call(flow, a, VAULT, {}, undefined, CROSSES);
    flow.note(a, VAULT, { error: { code: -32000, message: `no such key: ${KEY}` } });
    expect(call(flow, a, TICKET, { text: KEY }, undefined, CROSSES)).toBe('remit:zone');
    expect(asResult('x')).toBeDefined();
  });
});
