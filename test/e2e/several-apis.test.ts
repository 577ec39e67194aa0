import { decodeJwt } from 'jose';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { endAll, startUp, type Up } from '../cli/remit.ts';
import { type FakeBearerServer, startFakeBearerServer } from '../support/fake-bearer-server.ts';
import { callUnder, type Estate, findPort, makeEstate, takeTask } from '../support/whole-gateway.ts';

/** One MCP server in front of two APIs, as `docs/how-to/choose-an-issuer.md` has it: a connector for each, with a credential of its own. */
let server: FakeBearerServer;
let estate: Estate;
let gateway: Up;
/** Audience that each tool was called with. */
const audiences = new Map<string, unknown>();

beforeAll(async () => {
  server = await startFakeBearerServer('office', async (token, tool) => {
    if (tool !== undefined) audiences.set(tool, decodeJwt(token).aud);
  });
  const connector = (name: string, tool: string): string => `  ${name}:
    owner: dana@shop.example
    transport: { http: { url: "${server.url}" } }
    credential: { jwt: { audience: "https://${name}.example.com" } }
    tools: { ${tool}: { class: read, approvedBy: dana@shop.example } }
`;
  estate = await makeEstate({
    port: await findPort(),
    yaml: () => `connectors:
${connector('orders', 'look')}${connector('people', 'tell')}templates:
  work: { owner: dana@shop.example, purpose: test, agents: [scribe], classes: [read], tools: ["orders/*", "people/*"] }
`,
  });
  gateway = await startUp(estate.config);
});
afterAll(async () => {
  await gateway?.stop();
  await endAll();
  await server?.close();
});

it('R17 each API is called with a credential for it alone, by the tools that its connector describes alone', async () => {
  const task = await takeTask(estate, 'work');
  const call = (tool: string): Promise<string> => callUnder(gateway, task, tool, { id: '1' });
  for (const tool of ['orders__look', 'people__tell']) expect(await call(tool)).not.toContain('isError');
  expect(Object.fromEntries(audiences)).toEqual({
    look: 'https://orders.example.com',
    tell: 'https://people.example.com',
  });
  for (const tool of ['orders__tell', 'people__look']) expect(await call(tool)).toContain('Denied by Remit');
  expect(server.calls).toHaveLength(2);
});
