import { median } from '../bench/load.ts';
import { measure, type Variant } from '../bench/measure.ts';
import { MEASURED_CORE, residentMib } from '../bench/processes.ts';
import { postMessage } from '../harness/post-message.ts';
import {
  type EstateSize,
  makeEstate,
  type ScaleEstate,
  type ScaleNode,
  SESSIONS_A_TASK,
  SMALL,
  TOOL,
} from './estate.ts';
import type { PartResult, Setting } from './main.ts';

const LARGE: EstateSize = { agents: 10_000, tools: 20_000, policies: 1_000 };
const QUICK: EstateSize = { agents: 1_000, tools: 2_000, policies: 100 };
const SESSIONS = 5_000;
const MOST_RATIO = 1.1;

/** What one call costs in a small estate and in a large one, with many idle sessions beside: both in turn, on the same core. */
export async function measureGrowth({ isQuick, toolsPort, say }: Setting): Promise<PartResult> {
  const size = isQuick ? QUICK : LARGE;
  const sessions = isQuick ? 200 : SESSIONS;
  const estates: ScaleEstate[] = [];
  try {
    const variants: Variant[] = [];
    for (const [name, of] of [
      ['small', SMALL],
      ['large', size],
    ] as const) {
      const begun = performance.now();
      const estate = await makeEstate({ count: 1, size: of, toolsPort, core: MEASURED_CORE });
      estates.push(estate);
      const [node] = estate.nodes as [ScaleNode];
      const { token } = await estate.openTask(0);
      say(
        `${name}: ${of.agents} agents, ${of.tools} tools, ${of.policies} policies; serving after ${((performance.now() - begun) / 1_000).toFixed(1)} s, ${residentMib(node.pid).toFixed(0)} MiB`,
      );
      if (name === 'large') await openSessions(estate, sessions);
      variants.push({
        name,
        origin: node.url,
        headers: { authorization: `Bearer ${token}` },
        tool: TOOL,
        pid: node.pid,
        value: (at) => `v${at % 16}`,
      });
    }
    const calls = isQuick ? 1_000 : 4_000;
    for (const variant of variants) await measure(variant, calls * 3, 64);
    const ratios: number[] = [];
    const costs: number[][] = [[], []];
    for (let round = 0; round < (isQuick ? 4 : 15); round++) {
      // Who comes first takes turns.
      const order = round % 2 === 0 ? [0, 1] : [1, 0];
      const cost: number[] = [];
      for (const at of order) cost[at] = (await measure(variants[at] as Variant, calls, 64)).cpuUs;
      ratios.push((cost[1] as number) / (cost[0] as number));
      for (const at of [0, 1]) costs[at]?.push(cost[at] as number);
    }
    const ratio = median(ratios);
    const [small, large] = costs.map((column) => median(column)) as [number, number];
    say(
      `a call: ${small.toFixed(0)} µs small, ${large.toFixed(0)} µs large with ${sessions} sessions, ${ratio.toFixed(2)}×`,
    );
    return {
      figure: `growth ${ratio.toFixed(2)}× a call at ${size.agents} agents, ${size.tools} tools, ${sessions} sessions, ${size.policies} policies`,
      short:
        ratio > MOST_RATIO ? [`a call costs ${ratio.toFixed(2)}× in the large estate (at most ${MOST_RATIO})`] : [],
    };
  } finally {
    for (const estate of estates) await estate.close();
  }
}

/** Legacy sessions that do nothing, as many to a task as one may have. */
async function openSessions(estate: ScaleEstate, count: number): Promise<void> {
  const [{ url }] = estate.nodes as [ScaleNode];
  let token = '';
  for (let opened = 0; opened < count; opened++) {
    if (opened % SESSIONS_A_TASK === 0) ({ token } = await estate.openTask(0));
    const params = { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'idle', version: '1' } };
    const response = await postMessage(url, token, { id: 0, method: 'initialize', params });
    await response.text();
    if (response.headers.get('mcp-session-id') === null) throw new Error(`session ${opened}: HTTP ${response.status}`);
  }
}
