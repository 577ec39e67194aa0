import { describe } from 'vitest';
import { createStdioOpener } from '../../src/adapters/upstreams/stdio-upstream.ts';
import { upstreamSuite } from '../suites/upstream-suite.ts';
import { CLIENT, contain, FAKE_STDIO_COMMAND, plansHere, schedule } from '../support/fake-mcp-setup.ts';

describe.each(await plansHere())('contained by $mode', (plan) => {
  upstreamSuite('stdio', async () => {
    const containment = await contain(plan);
    return {
      opener: (version) =>
        createStdioOpener({
          command: FAKE_STDIO_COMMAND,
          environment: { FAKE_VERSION: version },
          containment,
          clientInfo: CLIENT,
          schedule,
        }),
      injection: (value) => ({ environment: { FAKE_SECRET: value }, headers: {} }),
      dispose: () => containment.close(),
    };
  });
});
