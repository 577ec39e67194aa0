/** fake-notion and fake-sentry: as much of the vendors' REST APIs as one call of their MCP servers needs. Listed in docs/fakes.md. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface FakeHost {
  readonly port: number;
  /** Authorization headers that came, without repeats. */
  readonly tokens: () => readonly string[];
  close(): Promise<void>;
}

export async function startFakeHost(answers: (path: string) => object | undefined): Promise<FakeHost> {
  const tokens = new Set<string>();
  const server = createServer((request, response) => {
    if (request.headers.authorization !== undefined) tokens.add(request.headers.authorization);
    request.resume();
    const answer = answers((request.url ?? '/').split('?', 1)[0] ?? '/');
    response
      .writeHead(answer === undefined ? 404 : 200, { 'Content-Type': 'application/json' })
      .end(JSON.stringify(answer ?? { detail: 'not found' }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    tokens: () => [...tokens],
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Notion's `GET /v1/users/me`. */
export const notionAnswers = (path: string): object | undefined =>
  path === '/v1/users/me'
    ? { object: 'user', id: '00000000-0000-4000-8000-000000000001', type: 'bot', name: 'fake-notion bot', bot: {} }
    : undefined;

/** Sentry's `GET /api/0/auth/` and what `whoami` reads of it. */
export const sentryAnswers = (path: string): object | undefined =>
  path === '/api/0/auth/' ? { id: '1', name: 'Fake Sentry User', email: 'fake@sentry.example' } : undefined;
