import { describe, expect, it } from 'vitest';
import { connectorId } from '../../src/domain/ids.ts';
import { Secret } from '../../src/domain/secret.ts';
import { readPages } from '../../src/gateway/methods/read-pages.ts';
import { needlesOf } from '../../src/gateway/stages/withhold-secrets.ts';
import { createHeldLease } from '../../src/leases/held-lease.ts';
import type { UpstreamCall, UpstreamReply } from '../../src/seams/upstream.ts';
import { heldLease, makeTask } from '../support/fake-gateway-parts.ts';

const CRM = connectorId('crm');
const CANARY = 'canary-77c1e09b';
const TOOLS = { method: 'tools/list', member: 'tools', isDeclared: true };

const result = (members: object): UpstreamReply => ({
  result: members as Record<string, unknown>,
  resultText: JSON.stringify(members),
});

/** Lists from a server that answers so; gives what it was asked, too. */
async function list(answer: (call: UpstreamCall, page: number) => UpstreamReply, listing = TOOLS) {
  const calls: UpstreamCall[] = [];
  const request = async (call: UpstreamCall): Promise<UpstreamReply> => answer(call, calls.push(call));
  const outcome = readPages({ request }, CRM, listing, 1_000, []).then(
    (items) => ({ items, error: undefined }),
    (error: unknown) => ({ items: undefined, error }),
  );
  return { ...(await outcome), calls };
}

it('L6 a server that echoes its token in an error, or in a definition, does not get it into logs or lists', async () => {
  const { lease } = heldLease(makeTask('tsk_list'), CRM);
  const held = createHeldLease(lease, { environment: {}, headers: { Authorization: new Secret(`Bearer ${CANARY}`) } });
  const listing = (reply: UpstreamReply) =>
    readPages({ request: async () => reply }, CRM, TOOLS, 1_000, needlesOf(held));
  const failed = await listing({ error: { code: -32000, message: `bad token ${CANARY}` } }).catch(
    (error: Error) => error,
  );
  expect(failed).toMatchObject({ code: 'ERR_CONNECTOR_PROTOCOL', message: expect.stringContaining('withheld') });
  expect(String(failed)).not.toContain(CANARY);
  const echoed = await listing(result({ tools: [{ name: 'x', description: `as ${CANARY}` }] }));
  expect(JSON.stringify(echoed)).not.toContain(CANARY);
});

describe('fault 31: pagination', () => {
  it('is followed to its end, with the cursor that the server gave', async () => {
    const { items, calls } = await list((_, page) =>
      result({ tools: [{ name: `t${page}` }], ...(page < 3 && { nextCursor: `after "${page}"` }) }),
    );
    expect(items).toEqual([{ name: 't1' }, { name: 't2' }, { name: 't3' }]);
    expect(calls.map(({ params }) => params)).toEqual(['', '"cursor":"after \\"1\\""', '"cursor":"after \\"2\\""']);
  });

  it.each([
    ['never advances', () => 'same', 2],
    ['goes round', (page: number) => `c${page % 3}`, 4],
    ['never ends', (page: number) => `c${page}`, 100],
  ])('a cursor that %s is refused', async (_, cursor, asked) => {
    const { error, calls } = await list((__, page) => result({ tools: [], nextCursor: cursor(page) }));
    expect(error).toMatchObject({ code: 'ERR_CONNECTOR_PROTOCOL', where: 'connectors.crm' });
    expect(calls).toHaveLength(asked);
  });
});

describe('I3 a listing is bounded', () => {
  it('a server that lists without end is refused before it fills the memory', async () => {
    const { error, calls } = await list((_, page) =>
      result({ tools: [{ name: `t${page}`, description: 'x'.repeat(4_000_000) }], nextCursor: String(page) }),
    );
    expect(error).toMatchObject({ code: 'ERR_CONNECTOR_PROTOCOL' });
    expect(calls.length).toBeLessThan(10);
  });

  it('more items than can be kept are refused', async () => {
    const tools = Array.from({ length: 3_000 }, (_, index) => ({ name: `t${index}` }));
    const { error } = await list((_, page) => result({ tools, nextCursor: String(page) }));
    expect(error).toMatchObject({ message: expect.stringContaining('more than 5000 tools') });
  });

  it('a large reply is read, and left where it is larger than can be kept', async () => {
    let given = 0;
    async function* chunks(size: number) {
      const text = JSON.stringify({ tools: [{ name: 'big', description: 'y'.repeat(size) }] });
      for (let at = 0; at < text.length; at += 65_536) {
        given += 1;
        yield Buffer.from(text.slice(at, at + 65_536));
      }
    }
    const { items } = await list(() => ({ resultChunks: chunks(1_000_000) }));
    expect(items).toEqual([{ name: 'big', description: 'y'.repeat(1_000_000) }]);
    given = 0;
    const { error } = await list(() => ({ resultChunks: chunks(40_000_000) }));
    expect(error).toMatchObject({ code: 'ERR_CONNECTOR_PROTOCOL' });
    expect(given * 65_536).toBeLessThan(17_000_000);
  });

  it('what is nested beyond measure in a large reply is refused before it is parsed', async () => {
    async function* chunks() {
      yield Buffer.from(`{"tools":${'['.repeat(200_000)}${']'.repeat(200_000)}}`);
    }
    const { error } = await list(() => ({ resultChunks: chunks() }));
    expect(error).toMatchObject({ message: expect.stringContaining('nested too deep') });
  });
});

describe('a server that does not know the method', () => {
  const unknown = (): UpstreamReply => ({ error: { code: -32601, message: 'Method not found' } });

  it('has none of a kind that it never said it had', async () => {
    expect((await list(unknown, { ...TOOLS, isDeclared: false })).items).toEqual([]);
  });

  it('is refused where it said that it has some', async () => {
    expect((await list(unknown)).error).toMatchObject({ code: 'ERR_CONNECTOR_PROTOCOL' });
  });

  it('is refused where it answers with something else than a list', async () => {
    expect((await list(() => result({ tools: 'none' }))).error).toMatchObject({ code: 'ERR_CONNECTOR_PROTOCOL' });
  });
});
