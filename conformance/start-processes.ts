import type { Revision } from './suite.ts';

/**
 * What clients declare in those requests of the suite that it gives less than a second for a first frame. The gateway starts a process of a
 * stdio server for each: a 2025-11-25 server learns once, in the handshake, what it may ask.
 */
const DECLARED: readonly Readonly<Record<string, object>>[] = [{}, { elicitation: {} }];
/** Milliseconds, also where the machine is busy. */
const START_TIMEOUT_MS = 30_000;

/**
 * Has the task's processes started before the suite asks, as the fixtures over HTTP are: how soon a program begins is the program's and the
 * machine's doing, and no check is about that. The calls are ordinary ones of a 2026-07-28 client, and of no scenario.
 * @throws when one is not answered with a result: then there is nothing to measure
 */
export async function startProcesses(url: string, revision: Extract<Revision, '2026-07-28'>): Promise<void> {
  for (const declared of DECLARED) {
    const response = await fetch(url, {
      method: 'POST',
      headers: {
        'Content-Type': 'application/json',
        Accept: 'application/json, text/event-stream',
        'MCP-Protocol-Version': revision,
        'Mcp-Method': 'tools/call',
        'Mcp-Name': TOOL,
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: paramsOf(revision, declared) }),
      signal: AbortSignal.timeout(START_TIMEOUT_MS),
    });
    const text = await response.text();
    if (!response.ok || !/"result"\s*:/.test(text))
      throw new Error(`the stdio fixture could not be started: ${response.status} ${text.slice(0, 500)}`);
  }
}

/** Answers at once, with or without a client that can be asked. */
const TOOL = 'test_simple_text';

const paramsOf = (revision: Revision, declared: object): object => ({
  name: TOOL,
  arguments: {},
  _meta: {
    'io.modelcontextprotocol/protocolVersion': revision,
    'io.modelcontextprotocol/clientInfo': { name: 'conformance', version: '1' },
    'io.modelcontextprotocol/clientCapabilities': declared,
  },
});
