import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkHeaders } from '../../src/gateway/edge/check-headers.ts';
import { type FakeEdge, modernBody, modernHeaders, startEdge } from '../support/fake-edge-parts.ts';

const HOSTS = new Set(['127.0.0.1:7300', 'gate.example']);

function check(...raw: string[]) {
  const all = raw.includes('Host') || raw.includes('host') ? raw : ['Host', '127.0.0.1:7300', ...raw];
  const headers: Record<string, string> = {};
  for (let i = 0; i < all.length; i += 2) headers[(all[i] as string).toLowerCase()] ??= all[i + 1] as string;
  return checkHeaders({ rawHeaders: all, headers } as unknown as IncomingMessage, HOSTS);
}

describe('fault 44: a security header that comes twice is refused, in whatever case', () => {
  it.each([
    'Authorization',
    'Origin',
    'Content-Type',
    'Content-Length',
    'Content-Encoding',
    'Transfer-Encoding',
    'Last-Event-ID',
    'MCP-Protocol-Version',
    'Mcp-Method',
    'Mcp-Name',
    'Mcp-Session-Id',
    'Mcp-Param-Region',
    'Mcp-Anything',
  ])('%s', (name) => {
    const problem = { status: 400, reason: `header ${name.toLowerCase()} is given more than once` };
    expect(check(name, 'a', 'X-Other', 'b', name.toLowerCase(), 'a')).toEqual(problem);
    expect(check(name.toUpperCase(), 'a', name, 'b')).toEqual(problem);
  });

  it('Host', () => {
    expect(check('Host', 'gate.example', 'HOST', 'gate.example')).toMatchObject({ status: 400 });
  });

  it('others may repeat, and names that only resemble are others', () => {
    expect(
      check('Accept', 'a', 'Accept', 'b', 'Cookie', '1', 'Cookie', '2', 'hosT2', 'x', 'hosT2', 'x'),
    ).toBeUndefined();
    expect(check('mcp', '1', 'mcp', '2', 'mcp_name', '1', 'mcp_name', '2')).toBeUndefined();
    expect(check('Mcp-Param-A', '1', 'Mcp-Param-B', '1')).toBeUndefined();
  });
});

describe('A05 A06 A11: names that are not ours', () => {
  it.each(['evil.example', '127.0.0.1', '127.0.0.1:7301', '0.0.0.0:7300', 'gate.example.evil.example', ''])(
    'Host %j: 421',
    (host) => {
      expect(check('Host', host)).toMatchObject({ status: 421 });
    },
  );

  it.each(['https://evil.example', 'null', 'http://127.0.0.1:7300.evil.example', 'file://', 'http://127.0.0.1'])(
    'Origin %s: 403',
    (origin) => {
      expect(check('Origin', origin)).toMatchObject({ status: 403 });
    },
  );

  it('our own are served', () => {
    expect(check('Host', 'GATE.example', 'Origin', 'https://gate.EXAMPLE')).toBeUndefined();
  });
});

describe('bodies that are not what they seem', () => {
  it.each(['gzip', 'br', 'deflate', 'identity, gzip', 'GZIP'])('Content-Encoding %s: 415', (coding) => {
    expect(check('Content-Encoding', coding)).toMatchObject({ status: 415 });
  });

  it('identity is no coding', () => {
    expect(check('Content-Encoding', 'identity')).toBeUndefined();
  });

  it('two lengths: 400', () => {
    expect(check('Content-Length', '3', 'transfer-encoding', 'chunked')).toMatchObject({ status: 400 });
    expect(check('transfer-encoding', 'chunked')).toBeUndefined();
  });
});

describe('over a socket', () => {
  let edge: FakeEdge;
  beforeAll(async () => {
    edge = await startEdge();
  });
  afterAll(() => edge.close());

  const raw = (text: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket = connect(edge.port, '127.0.0.1', () => socket.end(text));
      let answer = '';
      socket.setEncoding('latin1').on('data', (chunk: string) => {
        answer += chunk;
      });
      socket.on('close', () => resolve(answer)).on('error', reject);
    });

  it('fault 44: of two Authorization headers neither is believed, in either order', async () => {
    const body = modernBody('tools/list');
    for (const two of [
      ['Authorization', 'Bearer tsk_a', 'authorization', 'Bearer x'],
      ['Authorization', 'Bearer x', 'authorization', 'Bearer tsk_a'],
    ]) {
      const answer = await edge.send(body, { headers: [...modernHeaders('tools/list'), ...two] });
      expect(answer.status).toBe(400);
    }
    expect(edge.handled).toEqual([]);
  });

  it('fault 44: a request with two lengths is refused and nothing after it is read as another', async () => {
    const hidden = 'POST /mcp HTTP/1.1\r\nHost: x\r\n\r\n';
    const head = `POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:${edge.port}\r\nAuthorization: Bearer tsk_a\r\nContent-Type: application/json\r\n`;
    const answer = await raw(`${head}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${hidden}`);
    expect(answer.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 400']);
  });
});
