import { afterAll, beforeAll, expect, it } from 'vitest';
import { endAll, startUp, type Up, until } from '../cli/remit.ts';
import { type FakeToolsServer, startFakeToolsServer } from '../support/fake-tools-http-server.ts';
import {
  callUnder,
  type Estate,
  findPort,
  makeEstate,
  type OwnTask,
  recordsOf,
  takeTask,
} from '../support/whole-gateway.ts';

/** Labels of a task over a whole gateway that is killed: `slow` reads what others wrote and never answers, `ask` reaches outside. */
let web: FakeToolsServer;
let estate: Estate;
let gateway: Up;

beforeAll(async () => {
  web = await startFakeToolsServer();
  estate = await makeEstate({
    port: await findPort(),
    yaml: () => `connectors:
  web:
    owner: dana@shop.example
    protocol: modern
    transport: { http: { url: ${JSON.stringify(web.url)} } }
    tools:
      slow: { class: read, dataClasses: [personal], source: { trust: untrusted }, approvedBy: dana@shop.example }
      ask: { class: export, source: { trust: trusted }, sink: external, approvedBy: dana@shop.example }
templates:
  web: { owner: dana@shop.example, purpose: test, agents: [scribe], classes: [read, export], tools: ["web/*"] }
`,
  });
  gateway = await startUp(estate.config);
});
afterAll(async () => {
  await endAll();
  await web?.close();
});

const call = (task: OwnTask, name: string): Promise<string> => callUnder(gateway, task, name);

it('A1 F8 labels survive kill −9 between the intent of a call and its outcome: what leaves afterwards is held', async () => {
  const [tainted, clean] = [await takeTask(estate, 'web'), await takeTask(estate, 'web')];
  const reading = call(tainted, 'web__slow').catch(() => 'cut off');
  await until(() => web.heard.some(({ params }) => params?.name === 'slow'), 'the read is under way');
  gateway.child.kill('SIGKILL');
  await gateway.exited;
  expect(await reading).toBe('cut off');
  gateway = await startUp(estate.config);
  expect(await call(tainted, 'web__ask')).toContain('remit:third-leg');
  expect(await call(clean, 'web__ask')).not.toContain('remit:');
  expect(web.heard.filter(({ params }) => params?.name === 'ask')).toHaveLength(1);
  const decisions = await recordsOf(estate, 'decision');
  expect(
    decisions.filter(({ task }) => task === tainted.task).map(({ detail }) => [detail.verdict, detail.flow]),
  ).toEqual([
    [
      'permit',
      expect.objectContaining({ labels: { trust: 'untrusted', dataClasses: ['personal'], zones: ['internal'] } }),
    ],
    [
      'step_up',
      expect.objectContaining({ labels: { trust: 'untrusted', dataClasses: ['personal'], zones: ['internal'] } }),
    ],
  ]);
});
