import { describe } from 'vitest';
import { createHttpOpener, type HttpOpener } from '../../src/adapters/upstreams/http-upstream.ts';
import { upstreamSuite } from '../suites/upstream-suite.ts';
import { type FakeHttpServer, startFakeHttpServer } from '../support/fake-mcp-http-server.ts';
import { CLIENT, schedule } from '../support/fake-mcp-setup.ts';

describe.each(['body', 'stream'] as const)('replies as a %s', (replies) => {
  upstreamSuite('Streamable HTTP', async () => {
    // One server per version, as the version is the server's; all of one test share an opener.
    const servers = new Map<string, Promise<FakeHttpServer>>();
    const openers = new Map<string, HttpOpener>();
    const versions = [
      '2024-10-07',
      '2024-11-05',
      '2025-03-26',
      '2025-06-18',
      '2025-11-25',
      '2026-07-28',
      '1999-01-01',
      'silent',
      'refuse',
    ];
    for (const version of versions) {
      const server = startFakeHttpServer({ version, replies });
      servers.set(version, server);
      openers.set(version, createHttpOpener({ url: (await server).url, clientInfo: CLIENT, schedule }));
    }
    return {
      opener: (version) => openers.get(version) as HttpOpener,
      injection: (value) => ({ environment: {}, headers: { 'X-Fake-Key': value } }),
      async dispose() {
        await Promise.all([...openers.values()].map((opener) => opener.close()));
        for (const server of servers.values()) await (await server).close();
      },
    };
  });
});
