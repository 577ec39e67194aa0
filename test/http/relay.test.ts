import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { createNodeLink } from '../../src/adapters/nodes/pass-on.ts';
import type { WatchTimes } from '../../src/adapters/nodes/watch-peer.ts';
import { taskId, tenantId } from '../../src/domain/ids.ts';
import { refuse } from '../../src/domain/refusal.ts';
import { createRelay, MISDIRECTED, RELAYED } from '../../src/http/relay.ts';
import type { Located } from '../../src/nodes/placement.ts';

/** Real sockets; where tasks are is what the test says. */
const TASK = taskId('tsk_0123456789abcdefghjkmnpq');
const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function listen(handle: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  const server: Server = createServer(handle);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function world(locate: () => Located | Error, isHere = () => false, times?: WatchTimes) {
  const misplaced: string[] = [];
  const link = createNodeLink(RELAYED, 'public.example', MISDIRECTED, times);
  closers.push(() => link.close());
  let now = 0;
  let ownAddress = '';
  const served: string[] = [];
  const relay = createRelay({
    authenticator: {
      authenticate: (authorization) =>
        authorization === 'Bearer good'
          ? ({ task: TASK, tenant: tenantId('acme') } as never)
          : refuse({ kind: 'unauthenticated', error: 'invalid_token', reason: 'not good' }),
    },
    isHere,
    async locate() {
      const located = locate();
      if (located instanceof Error) throw located;
      return located;
    },
    misplaced: (task) => void misplaced.push(task),
    passOn: link.passOn,
    get ownAddress() {
      return ownAddress;
    },
    challenge: () => 'Bearer',
    maxBodyBytes: 100,
    monotonic: () => {
      now += 1_000;
      return now;
    },
    schedule: (_, task) => {
      setImmediate(task);
      return () => {};
    },
  });
  const url = await listen(async (request, response) => {
    const isDone = await (request.url === '/oauth/token'
      ? relay.byDetails(request, response)
      : relay.byToken(request, response));
    if (isDone) return;
    let body = '';
    for await (const chunk of request) body += chunk;
    served.push(body);
    response.end(`served here: ${body}`);
  });
  ownAddress = url;
  const post = (body: string, headers: Record<string, string> = { authorization: 'Bearer good' }, path = '/mcp') =>
    fetch(url + path, { method: 'POST', body, headers });
  return { url, post, misplaced, served, relay };
}

const CALL = JSON.stringify({ jsonrpc: '2.0', id: 7, method: 'tools/call', params: { name: 'x' } });

it('what is about a task of this node’s, or about none, is served here; its body has not been touched', async () => {
  const { post } = await world(
    () => 'nowhere',
    () => true,
  );
  expect(await (await post(CALL)).text()).toBe(`served here: ${CALL}`);
  const other = await world(() => 'nowhere');
  expect(await (await other.post(CALL)).text()).toBe(`served here: ${CALL}`);
  expect(await (await other.post(CALL, { authorization: 'Bearer bad' })).text()).toBe(`served here: ${CALL}`);
});

it('passes on what was asked as it was, with what is the client’s, and gives back what was answered', async () => {
  const seen: IncomingMessage[] = [];
  const address = await listen(async (request, response) => {
    seen.push(request);
    let body = '';
    for await (const chunk of request) body += chunk;
    response.writeHead(202, { 'Mcp-Session-Id': 's1', 'Content-Type': 'text/plain' });
    response.end(`there: ${body}`);
  });
  const { post } = await world(() => ({ address }));
  const response = await post(CALL, { authorization: 'Bearer good', 'mcp-method': 'tools/call', te: 'trailers' });
  expect(response.status).toBe(202);
  expect(response.headers.get('mcp-session-id')).toBe('s1');
  expect(await response.text()).toBe(`there: ${CALL}`);
  const { headers } = seen[0] as IncomingMessage;
  expect(headers).toMatchObject({ authorization: 'Bearer good', 'mcp-method': 'tools/call', host: 'public.example' });
  expect(headers[RELAYED]).toBe('node');
  expect(headers.te).toBeUndefined();
});

it('a stream comes through event by event, and ends there when the client goes', async () => {
  let gone = (): void => {};
  const left = new Promise<void>((resolve) => {
    gone = resolve;
  });
  const address = await listen((_, response) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    response.write('data: one\n\n');
    response.on('close', gone);
  });
  const { url } = await world(() => ({ address }));
  const abort = new AbortController();
  const response = await fetch(`${url}/mcp`, { headers: { authorization: 'Bearer good' }, signal: abort.signal });
  const reader = response.body?.getReader();
  expect(Buffer.from((await reader?.read())?.value as Uint8Array).toString()).toBe('data: one\n\n');
  abort.abort();
  await left;
});

it('waits for who goes on with the task of a lost node, and never sends twice what was sent', async () => {
  let asked = 0;
  const address = await listen((_, response) => response.end('there'));
  const { post, misplaced } = await world(() => {
    asked += 1;
    if (asked === 1) return { address: 'http://127.0.0.1:1' };
    if (asked === 2) return new Error('no store');
    return { address };
  });
  expect(await (await post(CALL)).text()).toBe('there');
  expect(misplaced.length).toBeGreaterThan(0);

  let calls = 0;
  const breaking = await listen((request) => {
    calls += 1;
    request.socket.destroy();
  });
  const other = await world(() => ({ address: breaking }));
  const answer = (await (await other.post(CALL)).json()) as { id: number; result: { isError: boolean } };
  expect(answer).toMatchObject({ id: 7, result: { isError: true } });
  expect(JSON.stringify(answer)).toContain('whether the call was made is not known');
  expect(calls).toBe(1);
});

describe('a node that is gone without a word', () => {
  const times = { lookMs: 20, answerMs: 150 };
  /** Of one that answers: so long that it does, however busy this process is. */
  const patient = { lookMs: 20, answerMs: 5_000 };

  it('is noticed: what was sent to it is answered as unknown, and not sent again; what comes next gets a connection of its own', async () => {
    let isThere = false;
    const heard: string[] = [];
    const answering = createServer((_, response) => response.end('there'));
    // As where packets are lost: it takes what comes, and never says anything.
    const node = createTcpServer((socket) => {
      socket.on('error', () => {});
      if (isThere) answering.emit('connection', socket);
      else socket.on('data', (piece) => heard.push(String(piece)));
    });
    await new Promise<void>((resolve) => node.listen(0, '127.0.0.1', resolve));
    closers.push(() => {
      answering.closeAllConnections();
      node.close();
    });
    const address = `http://127.0.0.1:${(node.address() as AddressInfo).port}`;
    const { post } = await world(
      () => ({ address }),
      () => false,
      times,
    );
    const answers = await Promise.all([post(CALL), post(CALL)]);
    for (const answer of answers) expect(await answer.text()).toContain('whether the call was made is not known');
    expect(heard.filter((piece) => piece.startsWith('POST /mcp'))).toHaveLength(2);
    isThere = true;
    expect(await (await post(CALL)).text()).toBe('there');
  });

  it('is not one that takes its time, which says so when it is asked', async () => {
    let asked = 0;
    const address = await listen(async (request, response) => {
      if (request.url === '/healthz') {
        asked += 1;
        response.writeHead(503).end();
        return;
      }
      while (asked < 4) await new Promise<void>((resolve) => void setTimeout(resolve, 5));
      response.end('there');
    });
    const { post } = await world(
      () => ({ address }),
      () => false,
      patient,
    );
    expect(await (await post(CALL)).text()).toBe('there');
  });

  it('is not one that takes no more connections: it says so', async () => {
    let refused = 0;
    const server = createServer(async (_, response) => {
      while (refused < 4) await new Promise<void>((resolve) => void setTimeout(resolve, 5));
      response.end('there');
    });
    server.maxConnections = 1;
    server.on('drop', () => {
      refused += 1;
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    closers.push(() => {
      server.closeAllConnections();
      server.close();
    });
    const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const { post } = await world(
      () => ({ address }),
      () => false,
      patient,
    );
    expect(await (await post(CALL)).text()).toBe('there');
  });

  it('ends a stream that it has begun', async () => {
    const node = createTcpServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', (piece) => {
        if (String(piece).startsWith('GET /mcp'))
          socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n');
      });
    });
    await new Promise<void>((resolve) => node.listen(0, '127.0.0.1', resolve));
    closers.push(() => void node.close());
    const address = `http://127.0.0.1:${(node.address() as AddressInfo).port}`;
    const { url } = await world(
      () => ({ address }),
      () => false,
      times,
    );
    const response = await fetch(`${url}/mcp`, { headers: { authorization: 'Bearer good' } });
    await expect(response.text()).rejects.toThrow('terminated');
  });
});

it('what turns out to be this node’s own while it waits is served here after all', async () => {
  let asked = 0;
  const { post, served } = await world(
    () => {
      asked += 1;
      return asked === 1 ? { address: 'http://127.0.0.1:1' } : 'here';
    },
    () => asked > 1,
  );
  expect(await (await post(CALL)).text()).toBe(`served here: ${CALL}`);
  expect(served).toHaveLength(1);
});

it('says so when nobody goes on with it, and that nothing was sent', async () => {
  const { post } = await world(() => ({ address: 'http://127.0.0.1:1' }));
  const text = await (await post(CALL)).text();
  expect(text).toContain('cannot be reached');
  expect(text).toContain('Nothing was sent');
});

it('what another node has passed on is not passed on once more', async () => {
  let calls = 0;
  const address = await listen((_, response) => {
    calls += 1;
    response.end();
  });
  const { post } = await world(() => ({ address }));
  const response = await post(CALL, { authorization: 'Bearer good', [RELAYED]: 'node' });
  expect(response.status).toBe(MISDIRECTED);
  expect(calls).toBe(0);
  const own = await world(() => 'here');
  expect(await (await own.post(CALL, { authorization: 'Bearer good', [RELAYED]: 'node' })).text()).toContain('served');
});

it('a node that stops sends back what others pass on, nothing of it done, and serves what comes to itself', async () => {
  const { post, relay, served } = await world(
    () => 'here',
    () => true,
  );
  relay.retire();
  const passedOn = { authorization: 'Bearer good', [RELAYED]: 'node' };
  expect((await post(CALL, passedOn)).status).toBe(MISDIRECTED);
  expect((await post('', passedOn, '/oauth/token')).status).toBe(MISDIRECTED);
  expect(served).toEqual([]);
  expect(await (await post(CALL)).text()).toBe(`served here: ${CALL}`);
  expect(await (await post('form', {}, '/oauth/token')).text()).toBe('served here: form');
});

it('a body that is too large is refused where it comes in', async () => {
  const { post } = await world(() => ({ address: 'http://127.0.0.1:1' }));
  expect((await post('x'.repeat(101))).status).toBe(413);
});

it('the token endpoint goes where the task is that a request names; one that names none stays', async () => {
  const forms: string[] = [];
  const address = await listen(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    forms.push(body);
    response.end('there');
  });
  const { post } = await world(() => ({ address }));
  const form = (details: object) =>
    new URLSearchParams({ authorization_details: JSON.stringify([details]) }).toString();
  for (const details of [{ task: TASK }, { parent: TASK }]) {
    expect(await (await post(form(details), {}, '/oauth/token')).text()).toBe('there');
  }
  expect(forms).toEqual([form({ task: TASK }), form({ parent: TASK })]);
  for (const asked of [form({ template: 'x' }), 'grant_type=x', '']) {
    expect(await (await post(asked, {}, '/oauth/token')).text()).toBe(`served here: ${asked}`);
  }
});
