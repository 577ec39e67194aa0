import type { Client } from '@modelcontextprotocol/client';
import { OUTBOUND } from './outbound-plan.ts';

type Drive = (client: Client) => Promise<void>;

const listOnly: Drive = async (client) => {
  await client.listTools();
};

const call = async (client: Client, name: string, args: Record<string, unknown> = {}): Promise<string> => {
  const result = await client.callTool({ name, arguments: args });
  const said = JSON.stringify(result.content);
  if (result.isError === true) throw new Error(`${name} was refused: ${said}`);
  return said;
};

const expectText = (said: string, wanted: string): void => {
  if (!said.includes(wanted)) throw new Error(`expected ${wanted}, got ${said}`);
};

const callTestTool: Drive = async (client) => {
  await listOnly(client);
  expectText(await call(client, 'test-tool'), 'test');
};

/** What the agent does in each scenario; a scenario that is not here needs no more than a listing. */
const drives: Readonly<Record<string, Drive>> = {
  tools_call: async (client) => {
    await listOnly(client);
    expectText(await call(client, 'add_numbers', { a: 5, b: 3 }), 'is 8');
  },
  'elicitation-sep1034-client-defaults': async (client) => {
    await listOnly(client);
    expectText(await call(client, 'test_client_elicitation_defaults'), 'John Doe');
  },
  'sse-retry': async (client) => {
    await listOnly(client);
    expectText(await call(client, 'test_reconnection'), 'completed successfully');
  },
  'http-standard-headers': async (client) => {
    for (const { name } of (await client.listTools()).tools) await call(client, name);
    for (const { uri } of (await client.listResources()).resources) await client.readResource({ uri });
    for (const { name } of (await client.listPrompts()).prompts) await client.getPrompt({ name });
  },
  'http-custom-headers': async (client) => {
    await listOnly(client);
    const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? '{}') as {
      toolCalls?: { name: string; arguments: Record<string, unknown> }[];
    };
    for (const { name, arguments: args } of context.toolCalls ?? []) await call(client, name, args);
  },
  'http-invalid-tool-headers': async (client) => {
    // Calls every tool that its owner described, listed or not: an agent may try, the gateway must not let it through. The list is read
    // as it comes, since the client library leaves such tools out by itself.
    const described = OUTBOUND.find(({ scenario }) => scenario === 'http-invalid-tool-headers')?.items.tools ?? [];
    const { tools } = await client.request({ method: 'tools/list' });
    const problems: string[] = [];
    for (const name of described) {
      const isListed = tools.some((tool) => tool.name === name);
      const args = { region: 'eu', value: 'x', field1: 'a', field2: 'b', data: {}, items: [], nil: null, score: 1 };
      const isCalled = await call(client, name, args).then(
        () => true,
        () => false,
      );
      const isWanted = name === 'valid_tool';
      if (isListed !== isWanted) problems.push(`${name} is ${isListed ? '' : 'not '}listed`);
      if (isCalled !== isWanted) problems.push(`${name} was ${isCalled ? 'called' : 'refused'}`);
    }
    if (problems.length > 0) throw new Error(problems.join(', '));
  },
  'json-schema-2020-12-preservation': async (client) => {
    const { tools } = await client.listTools();
    const schema = tools.find(({ name }) => name === 'json_schema_2020_12_tool')?.inputSchema;
    expectText(await call(client, 'json_schema_echo', { schema }), 'echoed');
  },
  'sep-2322-client-request-state': async (client) => {
    await listOnly(client);
    expectText(await call(client, 'test_mrtr_echo_state'), 'echo-state-ok');
    expectText(await call(client, 'test_mrtr_unrelated'), 'unrelated-ok');
    expectText(await call(client, 'test_mrtr_no_state'), 'no-state-ok');
    expectText(await call(client, 'test_mrtr_no_result_type'), 'no-result-type-test-ok');
  },
};

/** Makes the agent do what a scenario waits for. @throws when it does not get what it asked for */
export const driveAgent = (client: Client, scenario: string): Promise<void> =>
  (drives[scenario] ?? (scenario.startsWith('auth/') ? callTestTool : listOnly))(client);
