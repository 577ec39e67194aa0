import { describe } from 'vitest';
import { createHttpOpener, type HttpOpener } from '../../src/adapters/upstreams/http-upstream.ts';
import { createSseOpener } from '../../src/adapters/upstreams/sse-upstream.ts';
import { type UpstreamFixture, upstreamSuite } from '../suites/upstream-suite.ts';
import { type FakeHttpOptions, type FakeHttpServer, startFakeHttpServer } from '../support/fake-mcp-http-server.ts';
import { CLIENT, schedule } from '../support/fake-mcp-setup.ts';

const VERSIONS = [
  '2024-10-07',
  '2024-11-05',
  '2025-03-26',
  '2025-06-18',
  '2025-11-25',
  '2026-07-28',
  '1999-01-01',
  'silent',
  'refuse',
  'modern',
];

/** One server per version, as the version is the server's; all of one test share an opener. */
async function fixtureOf(more: FakeHttpOptions, create: (url: string) => HttpOpener): Promise<UpstreamFixture> {
  const servers: FakeHttpServer[] = [];
  const openers = new Map<string, HttpOpener>();
  for (const version of VERSIONS) {
    const server = await startFakeHttpServer({ version, ...more });
    servers.push(server);
    openers.set(version, create(server.url));
  }
  return {
    opener: (version) => openers.get(version) as HttpOpener,
    injection: (value) => ({ environment: {}, headers: { 'X-Fake-Key': value } }),
    async dispose() {
      await Promise.all([...openers.values()].map((opener) => opener.close()));
      for (const server of servers) await server.close();
    },
  };
}

describe.each(['body', 'stream'] as const)('replies as a %s', (replies) => {
  const create = (url: string) => createHttpOpener({ url, clientInfo: CLIENT, schedule });
  upstreamSuite('Streamable HTTP, legacy', () => fixtureOf({ replies }, create));
  upstreamSuite('Streamable HTTP, modern', () => fixtureOf({ replies }, create), {
    era: 'modern',
    cancelledBy: 'stream closed',
  });
});

upstreamSuite('HTTP+SSE', () =>
  fixtureOf({ isSse: true }, (url) => createSseOpener({ url, clientInfo: CLIENT, schedule })),
);
