import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { importJWK, type JWTPayload, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSystem } from '../../src/compose/system.ts';
import { openWorkspace } from '../../src/compose/workspace.ts';
import type { AuditRecord, RecordType } from '../../src/domain/record.ts';
import { loadOrCreateSigningKeys } from '../../src/http/authorization-server/signing-keys.ts';
import { processesWith } from '../support/fake-mcp-processes.ts';
import { recordsOf } from '../support/whole-gateway.ts';
import { endAll, type Home, makeHome, run, runJson, startUp, type Up, until } from './remit.ts';

/** What the gateway's port answers to whoever does not keep to the rules. */
let home: Home;
let gateway: Up;
let token: string;
let task: string;

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  readonly body: {
    readonly id?: unknown;
    readonly result?: Record<string, unknown>;
    readonly error?: { code: number; message: string };
  };
}

/** Raw: headers as a flat list, so that one can be given twice. */
function send(
  body: string | Buffer,
  options: { method?: string; path?: string; headers?: string[]; bearer?: string } = {},
): Promise<Answer> {
  const url = new URL(gateway.url);
  const { method = 'POST', path = '/mcp', bearer = token } = options;
  const given = options.headers ?? [];
  const has = (name: string): boolean => given.some((entry, at) => at % 2 === 0 && entry.toLowerCase() === name);
  const headers = [
    ...(has('host') ? [] : ['Host', url.host]),
    ...(has('authorization') ? [] : ['Authorization', `Bearer ${bearer}`]),
    'Content-Type',
    'application/json',
    'Accept',
    'application/json, text/event-stream',
    ...(method === 'GET' ? [] : ['Content-Length', String(Buffer.byteLength(body))]),
    ...given,
  ];
  return new Promise((resolve, reject) => {
    const call = request({ host: url.hostname, port: url.port, path, method, headers, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => {
        let parsed: Answer['body'] = {};
        try {
          parsed = JSON.parse(text) as Answer['body'];
        } catch {
          // An empty body is an answer too.
        }
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text, body: parsed });
      });
    });
    call.on('error', reject);
    call.end(method === 'GET' ? undefined : body);
  });
}

/**
 * Sends the beginning of a request and waits for the answer. Whoever goes on sending what is refused already may find the connection closed
 * before the answer has been read.
 */
function sendPart(headers: string[], body: string): Promise<Pick<Answer, 'status' | 'text'>> {
  const url = new URL(gateway.url);
  const own = ['Host', url.host, 'Authorization', `Bearer ${token}`, 'Content-Type', 'application/json'];
  const all = [...own, 'Accept', 'application/json, text/event-stream', ...headers];
  const options = { host: url.hostname, port: url.port, path: '/mcp', method: 'POST', headers: all, agent: false };
  return new Promise((resolve, reject) => {
    const call = request(options, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, text });
        call.destroy();
      });
    });
    call.on('error', reject);
    call.flushHeaders();
    if (body !== '') call.write(body);
  });
}

const PING = '{"jsonrpc":"2.0","id":1,"method":"ping"}';

const records = (type: RecordType): Promise<AuditRecord[]> => recordsOf(home, type);

/** A token that the gateway's own key signed, with claims as they should not be. */
async function signToken(change: JWTPayload, typ = 'at+jwt'): Promise<string> {
  const workspace = await openWorkspace(home.config, createSystem({ log: 'silent' }));
  try {
    const { vault, store, system } = workspace;
    const keys = await loadOrCreateSigningKeys({
      repository: store.signingKeys,
      seal: (name, bytes) => vault.seal(name, bytes),
      open: (name, sealed) => vault.open(name, sealed),
      clock: system.clock,
      log: system.log,
      tokenSeconds: 600,
    });
    const now = Math.floor(Date.now() / 1000);
    const key = keys.current();
    return await new SignJWT({
      iss: gateway.url,
      aud: `${gateway.url}/mcp`,
      sub: 'my-agent',
      client_id: 'my-agent',
      tenant: 'default',
      task,
      jti: randomUUID(),
      iat: now,
      exp: now + 60,
      ...change,
    })
      .setProtectedHeader({ alg: 'ES256', typ, kid: key.kid as string })
      .sign(await importJWK(key, 'ES256'));
  } finally {
    await workspace.close();
  }
}

beforeAll(async () => {
  home = await makeHome();
  gateway = await startUp(home.config);
  ({ token, task } = await runJson<{ token: string; task: string }>([
    'token',
    '--agent',
    'my-agent',
    '--config',
    home.config,
  ]));
});

afterAll(async () => {
  await gateway?.stop();
  await endAll();
});

describe('who asks', () => {
  it('no token: 401 that says where to get one', async () => {
    const answer = await send(PING, { headers: ['Authorization', ''] });
    expect(answer.status).toBe(401);
    expect(answer.headers['www-authenticate']).toContain(
      `resource_metadata="${gateway.url}/.well-known/oauth-protected-resource/mcp"`,
    );
  });

  it('the token as it should be is accepted, signed by hand too', async () => {
    expect((await send(PING)).body).toEqual({ jsonrpc: '2.0', id: 1, result: {} });
    expect((await send(PING, { bearer: await signToken({}) })).status).toBe(200);
  });

  it.each([
    ['expired', { iat: 1_700_000_000, exp: 1_700_000_600 }, /expired/],
    ['for another audience', { aud: 'https://elsewhere.example/mcp' }, /another audience/],
    ['for two audiences', { aud: 'PLACEHOLDER' }, /another audience/],
    ['from another issuer', { iss: 'https://elsewhere.example' }, /another issuer/],
    ['for a task that is none', { task: 'tsk_nothing' }, /has ended/],
    ['of an agent that is none', { sub: 'stranger', client_id: 'stranger' }, /not registered/],
    ['of another tenant', { tenant: 'elsewhere' }, /another agent/],
  ])('I1 a token %s: 401, recorded, and no word of the token', async (_, change, reason) => {
    const before = (await records('authentication_refused')).length;
    const bearer = await signToken(
      'aud' in change && change.aud === 'PLACEHOLDER'
        ? { aud: [`${gateway.url}/mcp`, 'https://elsewhere.example'] }
        : (change as JWTPayload),
    );
    const answer = await send(PING, { bearer });
    expect(answer.status).toBe(401);
    expect(answer.body.error?.message).toMatch(reason);
    expect(answer.headers['www-authenticate']).toContain('invalid_token');
    expect(answer.text).not.toContain(bearer.split('.')[2] as string);
    // A refusal is answered before its record is durable: nothing follows from it.
    await expect.poll(async () => (await records('authentication_refused')).length).toBeGreaterThan(before);
  });

  it('an agent’s own client assertion is no access token, nor is noise', async () => {
    expect((await send(PING, { bearer: await signToken({}, 'JWT') })).status).toBe(401);
    expect((await send(PING, { bearer: 'a.b.c' })).status).toBe(401);
    expect((await send(PING, { headers: ['Authorization', `Basic ${token}`] })).status).toBe(401);
  });
});

it('what was started is on record: the process, and the package that it runs', async () => {
  const list = { name: 'files__list_directory', arguments: { path: home.workspace } };
  await send(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: list }));
  // One of the listing at the start came before: its process may have been gone before it could be looked at.
  const started = await until(
    async () => (await records('connector_started')).find((record) => record.task === task),
    'it is recorded',
  );
  expect(started).toMatchObject({
    connector: 'files',
    agent: 'my-agent',
    trace: expect.any(String),
    detail: {
      pid: expect.any(Number),
      package: '@modelcontextprotocol/server-filesystem',
      version: '2026.8.31',
      digest: expect.stringMatching(/^sha256:[0-9a-f]{64}$/),
    },
  });
});

describe('headers', () => {
  it('D4 a second Authorization header: 400', async () => {
    const answer = await send(PING, { headers: ['Authorization', `Bearer ${token}`, 'authorization', 'Bearer x'] });
    expect(answer.status).toBe(400);
    expect(answer.text).toContain('header authorization is given more than once');
  });

  it('a foreign Host: 421, our own names: served', async () => {
    const { port } = new URL(gateway.url);
    expect((await send(PING, { headers: ['Host', 'evil.example'] })).status).toBe(421);
    expect((await send(PING, { headers: ['Host', '127.0.0.1:1'] })).status).toBe(421);
    expect((await send(PING, { headers: ['Host', `localhost:${port}`] })).status).toBe(200);
  });

  it('a foreign Origin: 403, our own: served', async () => {
    expect((await send(PING, { headers: ['Origin', 'https://evil.example'] })).status).toBe(403);
    expect((await send(PING, { headers: ['Origin', 'null'] })).status).toBe(403);
    expect((await send(PING, { headers: ['Origin', gateway.url] })).status).toBe(200);
  });

  it('D4 an Mcp-Method or Mcp-Name that says otherwise than the body: −32020', async () => {
    expect((await send(PING, { headers: ['Mcp-Method', 'tools/call'] })).body.error?.code).toBe(-32020);
    const call =
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"files__list_directory","arguments":{}}}';
    expect((await send(call, { headers: ['Mcp-Name', 'files__read_text_file'] })).body.error?.code).toBe(-32020);
  });

  it('a protocol version that nobody speaks: −32022 with those that are', async () => {
    const answer = await send(PING, { headers: ['Mcp-Protocol-Version', '1999-01-01'] });
    expect(answer).toMatchObject({ status: 400, body: { error: { code: -32022, data: { requested: '1999-01-01' } } } });
  });

  it.each([
    ['GET', 'POST'],
    ['DELETE', 'POST'],
    ['PUT', 'GET, POST, DELETE'],
  ])('%s without a session: 405 that says %s', async (method, allow) => {
    const answer = await send('', { method });
    expect(answer).toMatchObject({ status: 405, headers: { allow } });
  });
});

describe('bodies', () => {
  const call = (args: string): string =>
    `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"files__read_text_file","arguments":${args}}}`;

  it.each([
    ['no JSON', '{"jsonrpc":', /not JSON/],
    ['a duplicate key', call('{"path":"/a","path":"/b"}'), /duplicate key .*at character \d+/],
    ['a key that differs in case alone', call('{"path":"/a","Path":"/b"}'), /duplicate key/],
    ['a number beyond 2^53', call('{"path":"/a","n":9007199254740993}'), /number beyond/],
    ['a depth bomb', call(`${'['.repeat(5000)}${']'.repeat(5000)}`), /nested deeper/],
  ])('D4 %s: 400 with −32700, and nothing is decided', async (_, body, reason) => {
    const before = (await records('decision')).length;
    expect(await send(body)).toMatchObject({
      status: 400,
      body: { id: null, error: { code: -32700, message: expect.stringMatching(reason) } },
    });
    expect(await records('decision')).toHaveLength(before);
  });

  it('not UTF-8: 400', async () => {
    expect(await send(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d]))).toMatchObject({
      status: 400,
      body: { error: { code: -32700 } },
    });
  });

  const BOUND = 4 * 1024 * 1024;
  it.each([
    ['as it says, before any of it has come', ['Content-Length', String(BOUND + 1)], ''],
    ['as it turns out', ['Transfer-Encoding', 'chunked'], `{"x":"${'x'.repeat(BOUND)}`],
  ])('I3 larger than the bound, %s: 413', async (_, headers, body) => {
    const answer = await sendPart(headers, body);
    expect(answer.status).toBe(413);
    expect(answer.text).toContain('larger than');
    expect((await send(PING)).status).toBe(200);
  });

  it('I3 as large as the bound: read, and answered', async () => {
    const [head, tail] = ['{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"', '"}}'];
    const answer = await send(head + 'x'.repeat(BOUND - head.length - tail.length) + tail);
    expect(answer.body).toEqual({ jsonrpc: '2.0', id: 1, result: {} });
  });

  it.each([
    ['an empty batch', '[]', -32600],
    ['no JSON-RPC', '{"id":1,"method":"ping"}', -32600],
    ['params that are a list', '{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}', -32602],
    ['an id that is an object', '{"jsonrpc":"2.0","id":{},"method":"ping"}', -32600],
  ])('%s: 400', async (_, body, code) => {
    expect(await send(body)).toMatchObject({ status: 400, body: { error: { code } } });
  });

  it('D1 an unknown method: −32601, and a denial on record', async () => {
    for (const method of ['resources/watch', 'constructor', 'tools/call ']) {
      const answer = await send(JSON.stringify({ jsonrpc: '2.0', id: 7, method }));
      expect(answer).toMatchObject({ status: 200, body: { id: 7, error: { code: -32601 } } });
      expect((await records('decision')).at(-1)).toMatchObject({
        task,
        detail: { verdict: 'deny', policies: ['remit:method'], method },
      });
    }
  });

  it('D1 an unknown tool: −32602, and a denial on record', async () => {
    const answer = await send(
      '{"jsonrpc":"2.0","id":8,"method":"tools/call","params":{"name":"files__fly","arguments":{}}}',
    );
    expect(answer.body.error).toMatchObject({ code: -32602, message: expect.stringContaining('files__fly') });
    expect((await records('decision')).at(-1)).toMatchObject({
      detail: { verdict: 'deny', policies: ['remit:unknown-tool'] },
    });
  });

  it('A6 nothing of the administration is on the port', async () => {
    for (const path of ['/status', '/end-task', '/rotate-keys']) expect((await send('{}', { path })).status).toBe(404);
  });
});

describe('a full disk', () => {
  it('A3 a journal that takes no more: 503, nothing is forwarded, the gateway stops with its code', async () => {
    const folder = await makeHome();
    const full = await startUp(folder.config);
    const before = gateway;
    gateway = full;
    try {
      const own = await runJson<{ token: string }>(['token', '--agent', 'my-agent', '--config', folder.config]);
      const hello = join(folder.workspace, 'hello.txt');
      const read = JSON.stringify({
        jsonrpc: '2.0',
        id: 1,
        method: 'tools/call',
        params: { name: 'files__read_text_file', arguments: { path: hello } },
      });
      expect((await send(read, { bearer: own.token })).text).toContain('Hello from the workspace.');
      await writeFile(hello, 'Second text, not to be seen.\n');
      /** Where the last block that has been written to begins. */
      const written = async (): Promise<number> => {
        const log = await readFile(join(folder.folder, '.remit', 'journal', '00000000.log'));
        return Math.floor(log.findLastIndex((byte) => byte !== 0) / 4096) * 4096;
      };
      const size = await until(async () => {
        const first = await written();
        await new Promise((next) => setTimeout(next, 300));
        return first === (await written()) && first;
      }, 'the journal is at rest');
      // From now on that process writes no byte of a file behind what its journal has.
      execFileSync('prlimit', ['--pid', String(full.pid), `--fsize=${size}:${size}`]);
      const answer = await send(read, { bearer: own.token });
      expect(answer.status).toBe(503);
      expect(answer.body.error?.message).toContain('nothing was forwarded');
      expect(answer.text).not.toContain('Second text');
    } finally {
      gateway = before;
      await full.stop();
    }
    await until(() => processesWith('cmdline', folder.workspace).length === 0, 'its processes are gone');
    const verified = await run(['audit', 'verify', '--json', '--config', folder.config]);
    expect(verified.code).toBe(0);
  });
});
