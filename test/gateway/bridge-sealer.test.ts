import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { agentId, tenantId } from '../../src/domain/ids.ts';
import { createSealer, type SealedKind } from '../../src/gateway/bridge/sealer.ts';
import { makeCaller } from '../support/fake-bridge-parts.ts';

const START = 1_800_000_000_000;
const KEY = Buffer.alloc(32, 7);

function sealerAt(now = START, node = 'node-1', key = KEY) {
  return createSealer({ key, node, clock: () => now, random: randomBytes });
}

describe('A17: state that a client carries', () => {
  const mine = makeCaller('tsk_a', 'alice');
  const text = sealerAt().seal('parked', mine, { secret: 'tea' }, 10_000);

  it('opens for whom it was sealed, with the node that sealed it', () => {
    expect(text).toMatch(/^r1\.[\w-]+$/);
    expect(text).not.toContain(Buffer.from('tea').toString('base64url'));
    expect(sealerAt(START, 'node-2').open('parked', mine, text)).toEqual({ node: 'node-1', value: { secret: 'tea' } });
  });

  it.each([
    ['another task', makeCaller('tsk_b', 'alice')],
    ['another user', makeCaller('tsk_a', 'mallory')],
    ['no user', makeCaller('tsk_a')],
    ['another agent', { ...mine, principal: { ...mine.principal, agent: agentId('other') } }],
    ['another tenant', { ...mine, principal: { ...mine.principal, tenant: tenantId('other') } }],
    [
      'another issuer',
      { ...mine, principal: { ...mine.principal, user: { issuer: 'https://evil', subject: 'alice', groups: [] } } },
    ],
  ])('I1: does not open for %s', (_who, caller) => {
    expect(sealerAt().open('parked', caller, text)).toBeUndefined();
  });

  it.each(['request_state', 'cursor', 'mcp_task'] satisfies SealedKind[])('is not taken for a %s', (kind) => {
    expect(sealerAt().open(kind, mine, text)).toBeUndefined();
  });

  it('does not open under another key, or once its time or its task’s is over', () => {
    expect(sealerAt(START, 'node-1', Buffer.alloc(32, 8)).open('parked', mine, text)).toBeUndefined();
    expect(sealerAt(START + 9_999).open('parked', mine, text)).toBeDefined();
    expect(sealerAt(START + 10_000).open('parked', mine, text)).toBeUndefined();
    const long = sealerAt().seal('mcp_task', mine, {}, Number.POSITIVE_INFINITY);
    expect(sealerAt(mine.task.expiresAt - 1).open('mcp_task', mine, long)).toBeDefined();
    expect(sealerAt(mine.task.expiresAt).open('mcp_task', mine, long)).toBeUndefined();
  });

  it('opens as no other text: every changed, added or missing character is seen', () => {
    for (let at = 0; at < text.length; at++) {
      const other = text[at] === 'A' ? 'B' : 'A';
      expect(sealerAt().open('parked', mine, text.slice(0, at) + other + text.slice(at + 1))).toBeUndefined();
    }
    for (const changed of [`${text}-TAMPERED`, `${text}!`, `${text}=`, ` ${text}`, text.slice(0, -1), '', 'r1.', 'x']) {
      expect(sealerAt().open('parked', mine, changed)).toBeUndefined();
    }
    expect(sealerAt().open('parked', mine, `r1.${'A'.repeat(1_000_000)}`)).toBeUndefined();
  });

  it('seals what a client can carry, and refuses what it cannot', () => {
    const largest = { s: 'x'.repeat(8 * 1024 - 8) };
    const sealed = sealerAt().seal('request_state', mine, largest, 1_000);
    expect(sealerAt().open('request_state', mine, sealed)?.value).toEqual(largest);
    expect(() => sealerAt().seal('request_state', mine, { s: 'x'.repeat(8 * 1024) }, 1_000)).toThrow(/8192 bytes/);
    expect(() => sealerAt(START, 'n', Buffer.alloc(16))).toThrow(/32 bytes/);
  });

  it('never seals twice alike', () => {
    const seal = () => sealerAt().seal('parked', mine, { a: 1 }, 1_000);
    expect(new Set(Array.from({ length: 50 }, seal)).size).toBe(50);
  });
});
