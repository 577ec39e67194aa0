import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { type Started, startNode } from '../bench/processes.ts';
import { compare, type Score } from './compare.ts';
import { fixtureItems } from './fixture-items.ts';
import { type RunningGateway, startGateway } from './gateway.ts';
import { judge, parseKnown, type Verdict } from './known.ts';
import { runOutbound } from './outbound.ts';
import { PAIRINGS, type Pairing } from './pairings.ts';
import type { Results } from './results.ts';
import { startShim } from './shim.ts';
import { startProcesses } from './start-processes.ts';
import { narrow, prepareSuite, type Revision, runServerSet, type Suite } from './suite.ts';

/**
 * `npm run conformance`: the official MCP conformance suite through an authenticated gateway, in both eras and across them, measured
 * against the same suite without a gateway. `--quick` runs the two pairings of one era only; `--only <pairing>` one of them.
 * `--scenario <name>` beside it narrows that to one scenario; `--direct` only the reference. Exits with 1 on a check that is missed and not argued in `conformance/cannot-bridge.json`, or that is
 * argued there and passes.
 */

const FIXTURE = 'dist/conformance/fixture/main.js';
/** Characters of the gateway's log that are shown when something failed. */
const LOG_SHOWN = 4_000;
const REVISIONS: readonly Revision[] = ['2025-11-25', '2026-07-28'];

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean' },
    direct: { type: 'boolean' },
    only: { type: 'string' },
    scenario: { type: 'string' },
  },
});

const say = (line: string): void => void process.stdout.write(`${line}\n`);

async function main(): Promise<void> {
  const { only, scenario } = options;
  if (only !== undefined && only !== 'outbound' && !PAIRINGS.some(({ id }) => id === only))
    throw new Error(`--only is outbound or one of ${PAIRINGS.map(({ id }) => id).join(', ')}`);
  if (scenario !== undefined && pairingsWanted().length !== 1) throw new Error('--scenario wants one pairing: --only');
  const known = parseKnown(await readFile('conformance/cannot-bridge.json', 'utf8')).filter(
    (entry) => scenario === undefined || entry.scenario === scenario,
  );
  const folder = await mkdtemp(join(tmpdir(), 'remit-conformance-'));
  const closers: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })];
  try {
    const results = join(folder, 'results');
    await mkdir(results);
    const whole = await prepareSuite(results);
    const suite = scenario === undefined ? whole : narrow(whole, scenario);
    const fixtures = new Map<string, Started>();
    for (const eras of ['both', 'legacy', 'modern'] as const) {
      const fixture = await startNode([FIXTURE, '--eras', eras]);
      fixtures.set(eras, fixture);
      closers.push(() => fixture.stop());
    }
    const urlOf = (eras: string): string => `http://127.0.0.1:${fixtures.get(eras)?.ready.port}/mcp`;

    const references = new Map<Revision, Results>();
    for (const revision of revisionsWanted())
      references.set(revision, await runReference(suite, urlOf('both'), revision));
    if (options.direct === true) return;

    const items = await fixtureItems();
    const stdio = [process.execPath, resolve(FIXTURE), '--stdio', '--eras', 'legacy'];
    await mkdir(join(folder, 'gateway'));
    const gateway = await startGateway(join(folder, 'gateway'), {
      legacy: { transport: { http: { url: urlOf('legacy') } }, ...items },
      modern: { transport: { http: { url: urlOf('modern') } }, ...items },
      stdio: { transport: { stdio: { command: stdio } }, ...items },
    });
    closers.push(() => gateway.stop());

    const verdicts: Verdict[] = [];
    const totals: string[] = [];
    for (const pairing of pairingsWanted()) {
      const reference = references.get(pairing.revision) as Results;
      const score = await runPairing(suite, gateway, pairing, reference);
      const verdict = judge(pairing.id, score, known);
      report(verdict);
      verdicts.push(verdict);
      totals.push(`${pairing.title} ${verdict.passed}/${verdict.scored}`);
    }
    if (options.quick !== true && (options.only === undefined || options.only === 'outbound')) {
      for (const revision of REVISIONS) {
        const title = `outbound ${revision}`;
        say(`\n${title}: client scenarios against the gateway’s upstream side`);
        const { score, notRun } = await runOutbound(suite, revision, say);
        const verdict = judge(`outbound-${revision}`, score, known);
        report(verdict);
        for (const { scenario, reason } of notRun) say(`   not run  ${scenario}: ${reason}`);
        verdicts.push(verdict);
        totals.push(`${title} ${verdict.passed}/${verdict.scored} (${notRun.length} scenarios not run)`);
      }
    }
    say(`conformance: ${totals.join(', ')}`);
    if (verdicts.some(({ unexpected, stale }) => unexpected.length > 0 || stale.length > 0)) {
      process.exitCode = 1;
      process.stderr.write(`the gateway said:\n${gateway.log().slice(-LOG_SHOWN)}\n`);
    }
  } finally {
    for (const closer of closers.reverse()) await closer().catch(() => {});
  }
}

function pairingsWanted(): readonly Pairing[] {
  if (options.only !== undefined) return PAIRINGS.filter(({ id }) => id === options.only);
  return options.quick === true ? PAIRINGS.slice(0, 2) : PAIRINGS;
}

/** Whose reference is needed: a pairing's own, or all. */
function revisionsWanted(): readonly Revision[] {
  const [only, another] = pairingsWanted();
  return only !== undefined && another === undefined ? [only.revision] : REVISIONS;
}

/** The fixture must pass what it is the measure for. */
async function runReference(suite: Suite, url: string, revision: Revision): Promise<Results> {
  const { server, unscored } = await suite.requirements(revision);
  const reference = await runServerSet(suite, url, revision);
  const scored = compare(reference, reference, server);
  const others = compare(reference, reference, unscored);
  const failed = server.flatMap((scenario) =>
    (reference.get(scenario) ?? []).filter(({ status }) => status === 'FAILURE').map(({ id }) => `${scenario} ${id}`),
  );
  const absent = server.filter((scenario) => !reference.has(scenario));
  say(`direct   ${revision}  ${scored.passed}/${scored.scored} scored, ${others.passed} more that are not scored`);
  if (failed.length + absent.length > 0)
    throw new Error(`the fixture itself does not pass: ${[...failed, ...absent].join(', ')}`);
  return reference;
}

async function runPairing(
  suite: Suite,
  gateway: RunningGateway,
  { title, revision, upstream }: Pairing,
  reference: Results,
): Promise<Score> {
  const session = await gateway.session();
  const shim = await startShim(gateway.url, () => session.token());
  try {
    const url = `${shim.origin}/mcp/${upstream}`;
    if (upstream === 'stdio' && revision === '2026-07-28') await startProcesses(url, revision);
    const results = await runServerSet(suite, url, revision);
    const { server, unscored } = await suite.requirements(revision);
    const score = compare(reference, results, server);
    const others = compare(reference, results, unscored);
    say(
      `\n${title}: ${revision} client, ${upstream} upstream  ${score.passed}/${score.scored} (direct ${score.scored})`,
    );
    say(`   not scored by the suite: ${others.passed}/${others.scored} of what passes directly`);
    for (const { scenario, check, reason } of others.misses) say(`   not scored  ${scenario} ${check}: ${reason}`);
    return score;
  } finally {
    await shim.close();
    await session.end().catch(() => {});
  }
}

function report({ unexpected, excused, stale }: Verdict): void {
  for (const { scenario, check, reason } of unexpected) say(`   FAIL   ${scenario} ${check}: ${reason}`);
  for (const { scenario, check } of excused) say(`   known  ${scenario} ${check}`);
  for (const { scenario, check } of stale)
    say(`   STALE  ${scenario} ${check} is listed in cannot-bridge.json and passes`);
}

main().catch((error: unknown) => {
  process.stderr.write(`conformance failed: ${error instanceof Error ? error.stack : String(error)}\n`);
  process.exitCode = 1;
});
