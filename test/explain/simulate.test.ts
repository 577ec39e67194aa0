import { describe, expect, it } from 'vitest';
import { buildEstate } from '../../src/compose/estate.ts';
import { createReplayer, recordedVerdict } from '../../src/compose/explain/replay-decision.ts';
import { simulate } from '../../src/compose/explain/simulate.ts';
import { readSide } from '../../src/compose/explain/simulation-side.ts';
import { parseConfig } from '../../src/config/load-config.ts';
import type { Decision } from '../../src/domain/decision.ts';
import type { PointScope } from '../../src/policy/external/scope.ts';
import { collect } from '../audit/fixtures.ts';
import { OFFICE_CEDAR, OFFICE_YAML } from './office-estate.ts';
import { makeOffice, makeTraffic, type Office, writePolicies } from './recorded-office.ts';

/** Stricter here, laxer there: less mail, payments held earlier, more of them for who has read what anybody wrote. */
const OTHER_CEDAR = OFFICE_CEDAR.replace(
  'resource in Remit::Connector::"mail")',
  'resource == Remit::Tool::"mail/archive")',
)
  .replace('context.args.amount > 500', 'context.args.amount > 40')
  .replace(
    '@id("never")',
    `@id("not-eve")
forbid (principal, action == Remit::Action::"mail/search", resource) when { context.args.query == "eve" };

@id("never")`,
  )
  .replace('context.args.amount > 100', 'context.args.amount > 400');

const POINT: PointScope = {
  id: 'crm',
  asks: new Set(['call']),
  agents: undefined,
  tools: undefined,
  actionClasses: undefined,
};

async function simulated(office: Office, folder: string) {
  const before = await readSide(office.estate, office.policies);
  const after = await readSide(office.estate, folder);
  return simulate(office.span, before, after, office.openArguments);
}

/** Of a simulation: how many calls change from what to what. */
function counted(
  changes: readonly { kind: string; from: string; to: string; count: number }[],
): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { kind, from, to, count } of changes) {
    if (kind === 'call') counts[`${from} → ${to}`] = (counts[`${from} → ${to}`] ?? 0) + count;
  }
  return counts;
}

describe('a simulation', () => {
  it('reproduces every recorded decision under the policies that made it: whole verdict, gate and policies', async () => {
    for (const seed of [1, 2, 3]) {
      const office = await makeOffice({ seed });
      await makeTraffic(office, seed, 60);
      const { baseline, listings, changes, changed, leftOut } = await simulated(office, office.policies);
      expect(baseline.differing).toEqual([]);
      expect(baseline.of).toBeGreaterThan(200);
      expect(baseline.reproduced).toBe(baseline.of);
      expect(listings.reproduced).toBe(listings.of);
      expect(listings.of).toBeGreaterThan(100);
      expect([changes, changed, leftOut]).toEqual([[], 0, {}]);
    }
  });

  it('says of other policies what they would have said at the time, call by call', async () => {
    const other = await writePolicies(OTHER_CEDAR);
    const office = await makeOffice({ seed: 4, other });
    await makeTraffic(office, 4, 120);
    const expected: Record<string, number> = {};
    // What policy had denied was not asked for its risk: there the simulation only knows what comes before that.
    const isKnown = ({ was, other: now }: { was: Decision; other: Decision }) =>
      !(was.verdict === 'deny' && now.gate === 'risk');
    for (const one of office.others.filter(isKnown)) {
      const change = `${one.was.verdict} → ${one.other.verdict}`;
      if (one.was.verdict !== one.other.verdict) expected[change] = (expected[change] ?? 0) + 1;
    }
    const result = await simulated(office, other);
    const marked = result.changes.filter(({ unjudged }) => unjudged.length > 0);
    expect(marked.every(({ from }) => from === 'deny')).toBe(true);
    for (const change of ['permit → step_up', 'permit → deny', 'deny → step_up', 'step_up → deny'])
      expect(expected[change]).toBeGreaterThan(1);
    const found = counted(result.changes.filter(({ unjudged }) => unjudged.length === 0));
    // A call that people let through is on record twice, held and permitted, and counts once.
    expect(office.payloads.filter((payload) => payload.includes('"approval":"apr_1"')).length).toBeGreaterThan(5);
    expect(found).toEqual(expected);
    const held = result.changes.find(({ tool, to }) => tool === 'bank/pay' && to === 'step_up');
    expect(held?.by).toEqual(['payments-are-approved']);
    expect(office.others.some(({ span }) => span === held?.examples[0])).toBe(true);
  });

  it('asks the rules of flow about what policy had denied: a hold is told as one, with what could not be asked', async () => {
    const closed = OFFICE_CEDAR.replace(
      '@id("never")',
      '@id("no-mail")\nforbid (principal, action == Remit::Action::"mail/send", resource);\n\n@id("never")',
    );
    const office = await makeOffice({ seed: 7, cedar: closed });
    await makeTraffic(office, 7, 120);
    const before = await readSide(office.estate, office.policies);
    const folder = await writePolicies(OFFICE_CEDAR);
    const beside = { points: [POINT], isMarked: true };
    const sent = async (options?: Parameters<typeof readSide>[2]) =>
      (
        await simulate(office.span, before, await readSide(office.estate, folder, options), office.openArguments)
      ).changes.filter(({ tool, kind }) => kind === 'call' && tool === 'mail/send');
    const held = (await sent()).filter(({ to, unjudged }) => to === 'step_up' && unjudged.length === 0);
    expect(new Set(held.flatMap(({ by }) => by))).toEqual(new Set(['remit:provenance']));
    for (const { unjudged } of await sent(beside))
      expect(unjudged).toEqual(expect.arrayContaining(['marked values', 'remit:external/crm']));
  });

  it('asks them anew under another configuration, where the record says enough', async () => {
    const office = await makeOffice({ seed: 8 });
    await makeTraffic(office, 8, 120);
    const before = await readSide(office.estate, office.policies);
    const inward = buildEstate(
      parseConfig(OFFICE_YAML.replace('sink: external, critical: { to: address }', 'sink: none'), 'remit.yaml'),
    );
    const changes = async (isOtherEstate: boolean) => {
      const after = await readSide(inward, office.policies, { isOtherEstate });
      return counted((await simulate(office.span, before, after, office.openArguments)).changes);
    };
    expect((await changes(true))['step_up → permit']).toBeGreaterThan(3);
    expect(await changes(false)).toEqual({});
  });

  it('says what it could not replay, and lets it change nothing', async () => {
    const office = await makeOffice({ seed: 5 });
    await makeTraffic(office, 5, 40);
    const side = await readSide(office.estate, office.policies);
    const nothing = await readSide(office.estate, await writePolicies(''));
    const result = await simulate(office.span, side, nothing, async () => 'arguments_erased');
    expect(result.leftOut.arguments_erased).toBeGreaterThan(20);
    expect(result.baseline.reproduced).toBe(result.baseline.of);
    expect(result.changes.some(({ tool, kind }) => kind === 'call' && tool === 'bank/pay')).toBe(false);
    expect(counted(result.changes)['permit → deny']).toBeGreaterThan(10);
  });

  it('does not trust a replay that comes out otherwise than recorded under the same version', async () => {
    const office = await makeOffice({ seed: 6 });
    await makeTraffic(office, 6, 30);
    const side = await readSide(office.estate, office.policies);
    // The same version, and yet other answers: what a decision went by that is not on its record would show itself so.
    const permissive = createReplayer(office.estate, {
      version: side.replayer.version,
      evaluate: () => ({ verdict: 'permit', policies: ['agents-read'], reason: 'because', nextStep: undefined }),
    });
    const result = await simulate(office.span, { ...side, replayer: permissive }, side, office.openArguments);
    expect(result.baseline.reproduced).toBeLessThan(result.baseline.of);
    expect(result.baseline.differing.length).toBeGreaterThan(0);
    const { span } = result.baseline.differing[0] as { span: string };
    expect(result.changes.flatMap(({ examples }) => examples)).not.toContain(span);
  });

  it('leaves what a decision point outside has denied, and compares what policies say where they are only observed', async () => {
    const office = await makeOffice();
    await office.call(office.start(), 'bank/balance');
    const [decided] = await collect(office.span.read());
    if (decided === undefined) throw new Error('nothing is recorded');
    const detail = (more: object) => ({
      ...decided,
      record: { ...decided.record, detail: { ...decided.record.detail, ...more } },
    });
    const { replayer } = await readSide(office.estate, office.policies);
    const outside = detail({ verdict: 'deny', gate: 'external_policy', policies: ['remit:external/risk-desk'] });
    expect(await replayer.call(outside, 'not needed')).toBe('external');
    const beside = detail({ policies: ['agents-read', 'remit:external/risk-desk'] });
    expect(recordedVerdict(beside).policies).toEqual(['agents-read']);
    expect(await replayer.call(beside, 'not needed')).toMatchObject({
      decision: { verdict: 'permit', policies: ['agents-read'] },
    });
    const wouldDeny = { gate: 'agent_policy', policies: ['no'], reason: 'No.' };
    expect(recordedVerdict(detail({ wouldDeny }))).toEqual({ verdict: 'deny', ...wouldDeny });
  });
});
