import { expect, it } from 'vitest';
import { openHttpServer, type Routes } from '../../src/http/server.ts';
import type { Schedule } from '../../src/seams/clock.ts';

const schedule: Schedule = (ms, task) => {
  const timer = setTimeout(task, ms);
  return () => clearTimeout(timer);
};

it('before anything is served key set and metadata are shown, to whoever may ask, and everything else is refused', async () => {
  const server = await openHttpServer('127.0.0.1', 0, { clock: Date.now, schedule });
  const origin = `http://127.0.0.1:${server.port}`;
  const ask = async (path: string, init: RequestInit = {}) => {
    const response = await fetch(origin + path, init);
    return [response.status, await response.text()];
  };
  try {
    expect(await ask('/oauth/jwks')).toEqual([503, '{"error":"starting"}']);
    const asked: (string | undefined)[] = [];
    const handler: Routes['authorizationServer'] = ({ url }, response) => {
      asked.push(url);
      response.end('keys');
    };
    server.showKeys(handler, new Set([`127.0.0.1:${server.port}`]));
    const shown = ['/oauth/jwks', '/oauth/jwks?x=1', '/.well-known/oauth-authorization-server'];
    for (const path of shown) expect(await ask(path)).toEqual([200, 'keys']);
    for (const path of ['/oauth/token', '/mcp', '/task/end', '/healthz', '/oauth/jwks/']) {
      expect(await ask(path)).toEqual([503, '{"error":"starting"}']);
    }
    expect((await ask('/oauth/jwks', { method: 'POST' }))[0]).toBe(503);
    // Of another site, which a browser would be sent from (DNS rebinding).
    expect((await ask('/oauth/jwks', { headers: { Origin: 'https://evil.example' } }))[0]).toBe(403);
    expect(asked).toEqual(shown);
  } finally {
    await server.close();
  }
});
