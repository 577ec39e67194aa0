import { Client, InMemoryTransport } from '@modelcontextprotocol/client';
import { buildServer } from './fixture/build-server.ts';
import { createWorld } from './fixture/world.ts';
import type { Items } from './gateway.ts';

/** Tools of the tasks extension exist in the modern era only; a connector may describe a tool that its server has not. */
const MODERN_ONLY = [
  'greet',
  'slow_compute',
  'failing_job',
  'protocol_error_job',
  'confirm_delete',
  'multi_input',
  'test_tool_with_task',
];

/** Everything that the fixture offers, those that come and go included, as the fixture itself lists it. */
export async function fixtureItems(): Promise<Items> {
  const world = createWorld();
  world.shown.tool = true;
  world.shown.prompt = true;
  const server = buildServer(world, 'legacy', true);
  const client = new Client({ name: 'conformance', version: '1' });
  const [ours, theirs] = InMemoryTransport.createLinkedPair();
  await server.connect(theirs);
  await client.connect(ours);
  const { tools } = await client.listTools();
  const { prompts } = await client.listPrompts();
  await client.close();
  return {
    tools: [...tools.map(({ name }) => name), ...MODERN_ONLY],
    prompts: prompts.map(({ name }) => name),
    resources: ['test://**'],
  };
}
