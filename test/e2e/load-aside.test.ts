import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { versionOf } from '../../src/adapters/policy/cedar-version.ts';
import { loadPolicies } from '../../src/adapters/policy/load-policies.ts';
import { INVENTORY } from '../policy/samples.ts';

/** Of the built code: a thread cannot load sources. */
const built = resolve('dist/src/adapters/policy/load-aside.js');
const { loadAside } = (await import(
  pathToFileURL(built).href
)) as typeof import('../../src/adapters/policy/load-aside.ts');

const files = (text: string) => [{ path: 'p.cedar', text }];
const FINE = `@id("open")
permit (principal, action in Remit::Action::"read", resource) when { context.labels.trust == "trusted" };
@id("held")
@step_up("count=2 expires=15m")
forbid (principal, action in Remit::Action::"call", resource);
`;

/** Always by the thread. */
const aside = (text: string, signal?: AbortSignal) => loadAside(files(text), INVENTORY, signal, 0);

describe('policies that are validated by another thread', () => {
  it('are what they would be here, to the version', async () => {
    const here = loadPolicies(files(FINE), INVENTORY);
    const there = await aside(FINE);
    expect(there).toEqual(here);
    expect(versionOf(there)).toBe(versionOf(here));
    // The profiles are the gateway's own objects: what it compares by identity stays quick.
    expect(there.inventory).toBe(INVENTORY);
  });

  it('D1 are refused for what they would be refused for here, place, next step and all', async () => {
    const wrong = `${FINE}permit (principal, action == Remit::Action::"fly", resource);`;
    let here: unknown;
    try {
      loadPolicies(files(wrong), INVENTORY);
    } catch (error) {
      here = error;
    }
    const { code, message, where, hint } = here as Record<string, unknown>;
    expect(code).toBe('ERR_POLICY_INVALID');
    await expect(aside(wrong)).rejects.toMatchObject({ code, message, where, hint });
  });

  it('let others in meanwhile', async () => {
    const turns = { count: 0 };
    const timer = setInterval(() => {
      turns.count += 1;
    }, 1);
    await aside(FINE);
    clearInterval(timer);
    // A thread starts in tens of milliseconds; the same work here would be one turn.
    expect(turns.count).toBeGreaterThan(5);
  });

  it('are so where there are many of them over one tool: reading each takes its time, too', async () => {
    const [connector] = INVENTORY.connectors as [(typeof INVENTORY.connectors)[number]];
    const inventory = { ...INVENTORY, connectors: [{ ...connector, tools: connector.tools.slice(0, 1) }] };
    const turns = { count: 0 };
    const timer = setInterval(() => {
      turns.count += 1;
    }, 1);
    const all = Array.from({ length: 300 }, (_, at) => `@id("p${at}") permit (principal, action, resource);`);
    const { policies } = await loadAside(files(all.join('\n')), inventory);
    clearInterval(timer);
    expect(policies).toHaveLength(300);
    expect(turns.count).toBeGreaterThan(5);
  });

  it('are given up when the gateway stops: at once, with its reason', async () => {
    const stopping = new AbortController();
    const loading = aside(FINE, stopping.signal);
    stopping.abort(new Error('it stops'));
    await expect(loading).rejects.toThrow('it stops');
    await expect(aside(FINE, stopping.signal)).rejects.toThrow('it stops');
  });

  it('D1 a thread that cannot be started, or ends without an answer, is a refusal', async () => {
    const [connector] = INVENTORY.connectors;
    // No function can be handed to a thread.
    const inventory = { ...INVENTORY, connectors: [{ ...connector, odd: () => {} }] } as never;
    await expect(loadAside(files(FINE), inventory, undefined, -1)).rejects.toMatchObject({
      code: 'ERR_INTERNAL',
      hint: expect.stringContaining('stay in force'),
    });
  });
});
