import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exportJWK, generateKeyPair, type JWK, UnsecuredJWT } from 'jose';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { reuseSession } from '../../src/agent/reuse-session.ts';

/** A token endpoint that starts tasks t1, t2, … and goes on with those that it has not been told to end. */
let gateway: string;
let folder: string;
let key: JWK;
let started = 0;
const ended = new Set<string>();
const server = createServer(async (request, response) => {
  let body = '';
  for await (const chunk of request) body += String(chunk);
  const reply = (status: number, value: object): void =>
    void response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(value));
  if (request.url?.includes('protected-resource'))
    return reply(200, { resource: `${gateway}/mcp`, authorization_servers: [gateway] });
  if (request.url?.includes('authorization-server')) return reply(200, { token_endpoint: `${gateway}/token` });
  const [asked] = JSON.parse(new URLSearchParams(body).get('authorization_details') as string) as [{ task?: string }];
  if (asked.task !== undefined && ended.has(asked.task))
    return reply(400, { error: 'invalid_authorization_details', error_description: 'ended' });
  const task = asked.task ?? `t${++started}`;
  reply(200, {
    access_token: `token of ${task}`,
    expires_in: 600,
    authorization_details: [{ task, purpose: 'p', expires_at: 0 }],
  });
});

beforeAll(async () => {
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  gateway = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  key = await exportJWK((await generateKeyPair('ES256', { extractable: true })).privateKey);
});
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'remit-session-'));
});
afterAll(async () => {
  server.closeAllConnections();
  await new Promise((closed) => server.close(closed));
});

const userToken = (sub: string): string =>
  new UnsecuredJWT({}).setIssuer('https://idp.example').setSubject(sub).setJti(String(Math.random())).encode();

async function taskFor(options: { purpose?: string; user?: string } = {}): Promise<string> {
  const { purpose, user } = options;
  const session = await reuseSession(
    {
      gateway,
      agent: 'helper',
      key,
      task: { declare: { template: 'work', ...(purpose !== undefined && { purpose }) } },
      ...(user !== undefined && { subjectToken: user }),
      clock: Date.now,
    },
    join(folder, 'own', 'session.json'),
  );
  return session.granted.task;
}

describe('reuseSession', () => {
  it('goes on with the same task, and keeps no token in its file', async () => {
    const task = await taskFor();
    expect(await taskFor()).toBe(task);
    const path = join(folder, 'own', 'session.json');
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readFile(path, 'utf8')).not.toContain('token of');
    await rm(folder, { recursive: true });
  });

  it('starts another when the last has ended, is declared otherwise, or the file is none', async () => {
    const first = await taskFor();
    ended.add(first);
    const second = await taskFor();
    expect(second).not.toBe(first);
    const third = await taskFor({ purpose: 'other' });
    expect(third).not.toBe(second);
    await writeFile(join(folder, 'own', 'session.json'), '{"task":');
    expect(await taskFor({ purpose: 'other' })).not.toBe(third);
    await rm(folder, { recursive: true });
  });

  it('I1 never goes on with one user’s task for another, nor without the user', async () => {
    const alice = await taskFor({ user: userToken('alice') });
    expect(await taskFor({ user: userToken('alice') })).toBe(alice);
    expect(await taskFor({ user: userToken('bob') })).not.toBe(alice);
    const opaque = await taskFor({ user: 'opaque-alice' });
    expect(await taskFor({ user: 'opaque-bob' })).not.toBe(opaque);
    const again = await taskFor({ user: userToken('alice') });
    expect(await taskFor()).not.toBe(again);
    await rm(folder, { recursive: true });
  });
});
