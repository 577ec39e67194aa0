import { describe } from 'vitest';
import { createStdioOpener } from '../../src/adapters/upstreams/stdio-upstream.ts';
import type { Secret } from '../../src/domain/secret.ts';
import { upstreamSuite } from '../suites/upstream-suite.ts';
import { CLIENT, contain, FAKE_STDIO_COMMAND, plansHere, schedule } from '../support/fake-mcp-setup.ts';

describe.each(await plansHere())('contained by $mode', (plan) => {
  const fixture = async () => {
    const containment = await contain(plan);
    return {
      opener: (version: string) =>
        createStdioOpener({
          command: FAKE_STDIO_COMMAND,
          environment: { FAKE_VERSION: version },
          containment,
          clientInfo: CLIENT,
          schedule,
        }),
      injection: (value: Secret) => ({ environment: { FAKE_SECRET: value }, headers: {} }),
      dispose: () => containment.close(),
    };
  };
  upstreamSuite('stdio, legacy', fixture);
  upstreamSuite('stdio, modern', fixture, { era: 'modern' });
});
