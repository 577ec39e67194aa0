import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { Secret } from '../../src/domain/secret.ts';
import { createLegacyEdge } from '../../src/gateway/edge/legacy/legacy-edge.ts';
import { createMcpEndpoint } from '../../src/gateway/edge/mcp-endpoint.ts';
import { createModernEdge } from '../../src/gateway/edge/modern/modern-edge.ts';
import { handleMethod } from '../../src/gateway/methods/handle-method.ts';
import { offer } from '../../src/gateway/methods/offer.ts';
import { createHeldLease } from '../../src/leases/held-lease.ts';
import type { UpstreamReply } from '../../src/seams/upstream.ts';
import { type FakeGateway, heldLease, makeGateway, makeTask } from '../support/fake-gateway-parts.ts';

/** One POST through the endpoint, without a socket. */
async function post(fake: FakeGateway, token: string, message: object, beforeBody = (): void => {}) {
  const { gateway } = fake;
  const parts = { gateway, challenge: (_error: string, reason: string) => reason, version: '0', handleMethod, offer };
  const handle = createMcpEndpoint({
    ...parts,
    maxBodyBytes: 1_000_000,
    legacy: createLegacyEdge({ ...parts, random: randomBytes }),
    modern: createModernEdge({ ...parts, heartbeatMs: 15_000, streamsPerTask: 1 }),
  });
  async function* body(): AsyncGenerator<Buffer> {
    beforeBody();
    yield Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: 1, ...message }));
  }
  const request = Object.assign(Readable.from(body(), { objectMode: false }), {
    method: 'POST',
    complete: true,
    url: '/mcp',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', accept: 'application/json' },
  });
  let status = 0;
  let text = '';
  const response = {
    destroyed: false,
    writableFinished: true,
    on() {},
    writeHead(code: number) {
      status = code;
    },
    end(given: string) {
      text = given;
    },
  };
  await handle(request as unknown as IncomingMessage, response as unknown as ServerResponse);
  return { status, text };
}

const callOrders = { method: 'tools/call', params: { name: 'shop__orders', arguments: {} } };

function gatewayThatReplies(reply: UpstreamReply, token = 'tok_c4n4ry/+secret'): FakeGateway {
  return makeGateway({
    reply: async () => reply,
    acquireLease: (task, connector) => {
      const { lease } = heldLease(task, connector);
      const headers = { Authorization: new Secret(`Bearer ${token}`) };
      return createHeldLease(lease, { environment: {}, headers });
    },
  });
}

function resultFrom(resultText: string): UpstreamReply {
  return { result: JSON.parse(resultText) as Record<string, unknown>, resultText };
}

describe('a connector that means harm by its reply', () => {
  it('A1 a credential written across an escape is taken out, and the call still has its outcome', async () => {
    // `\t` and then the rest of the token: cutting the token out of the text would leave half an escape behind.
    const fake = gatewayThatReplies(resultFrom('{"content":[{"type":"text","text":"\\tok_c4n4ry/+secret"}]}'));
    const { status, text } = await post(fake, 'tsk_a', callOrders);
    expect(status).toBe(200);
    expect(JSON.parse(text)).toHaveProperty('result.content');
    expect(fake.events.at(-1)).toBe('record:outcome');
  });

  it.each([
    ['an escaped slash, as PHP writes it', 'tok_c4n4ry\\/+secret'],
    ['an escaped letter', '\\u0074ok_c4n4ry/+secret'],
  ])('L6 a credential with %s does not get past the gateway', async (_, echoed) => {
    const fake = gatewayThatReplies(resultFrom(`{"content":[{"type":"text","text":"by ${echoed}"}]}`));
    const { text } = await post(fake, 'tsk_a', callOrders);
    expect(JSON.stringify(JSON.parse(text))).not.toContain('tok_c4n4ry');
    expect(text).toContain('withheld by Remit');
    expect(fake.records.at(-1)?.detail).toMatchObject({ credentialsWithheld: 1 });
  });

  it('L6 a credential as the name of a member does not get past the gateway', async () => {
    const fake = gatewayThatReplies(resultFrom('{"structuredContent":{"tok_c4n4ry/+secret":1}}'));
    expect((await post(fake, 'tsk_a', callOrders)).text).not.toContain('tok_c4n4ry');
  });

  it('A1 error data too deep to be written out: a refusal that does not deny the effect, and an outcome', async () => {
    const data = JSON.parse(`${'['.repeat(60_000)}${']'.repeat(60_000)}`) as unknown;
    const fake = gatewayThatReplies({ error: { code: -32000, message: 'deep', data } });
    const { text } = await post(fake, 'tsk_a', callOrders);
    expect(text).not.toContain('nothing was forwarded');
    expect(fake.forwarded).toHaveLength(1);
    expect(fake.events.at(-1)).toBe('record:outcome');
  });
});

describe('a client that means harm by its timing', () => {
  it('V2 a body that arrives after the task has ended gets no list', async () => {
    const fake = makeGateway({ tasks: [makeTask('tsk_a')] });
    const { status, text } = await post(fake, 'tsk_a', { method: 'tools/list' }, () => fake.end('tsk_a' as never));
    expect(status).toBe(401);
    expect(text).not.toContain('shop__orders');
  });
});
