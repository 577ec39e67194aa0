import { parseArgs } from 'node:util';
import { STRICTNESSES } from '../src/domain/strictness.ts';
import { starterPolicies } from '../src/policy/starter-policies.ts';
import { readCorpus } from './corpus.ts';
import { startFakeRecordedTools } from './fake-recorded-tools.ts';
import { openReplayGateway, type ReplayPolicies } from './gateway.ts';
import { type Played, playTrace } from './play.ts';
import { proposedDeclaration, proposeProfiles } from './propose.ts';
import { configOf, ROWS, type Row, readDeclarations, readProfiles } from './rows.ts';
import { missed, percent, type Score, score } from './score.ts';

/**
 * `npm run replay`: recorded agents through the real gateway, with attacks in what they read and without. docs/how-to/replay-recorded-agents.md
 * explains it.
 *
 *   --corpus DIR         traces and tool definitions; else REMIT_REPLAY_CORPUS, else ../shared/corpus
 *   --profiles FILE      profiles of the tools; replay/profiles.yaml
 *   --declarations FILE  templates of the suites, and what tasks declare; replay/declarations.yaml
 *   --propose            no files: profiles as `remit tool describe` proposes them, unread. So is a suite that the files leave out
 *   --format NAME        json or yaml: how proposed profiles say that results are written; yaml
 *   --suite NAME         one suite alone
 *   --row NAME           template, declared or off alone
 *   --starter STRICTNESS the policies that `remit init --profile STRICTNESS` writes, instead of one that permits all; no targets then
 *   --verbose            every call that was held, denied, or should have been
 */
const { values: options } = parseArgs({
  options: {
    corpus: { type: 'string' },
    profiles: { type: 'string', default: 'replay/profiles.yaml' },
    declarations: { type: 'string', default: 'replay/declarations.yaml' },
    propose: { type: 'boolean', default: false },
    format: { type: 'string', default: 'yaml' },
    suite: { type: 'string' },
    row: { type: 'string' },
    starter: { type: 'string' },
    verbose: { type: 'boolean', default: false },
  },
});

const say = (text: string): void => void process.stdout.write(`${text}\n`);

async function main(): Promise<boolean> {
  const corpus = await readCorpus(options.corpus ?? process.env.REMIT_REPLAY_CORPUS ?? '../shared/corpus');
  const described = options.propose ? {} : await readProfiles(options.profiles);
  const declared = options.propose ? {} : await readDeclarations(options.declarations);
  const found = [...new Set(corpus.traces.map(({ suite }) => suite))];
  const suites = found.filter((suite) => options.suite === undefined || suite === options.suite);
  if (suites.length === 0) throw new Error(`there is no suite ${options.suite}: ${found.join(', ')}`);

  const profiles = Object.fromEntries(
    suites.map((suite) => [
      suite,
      described[suite] ??
        proposeProfiles(suite, corpus.tools[suite] ?? [], options.format === 'json' ? 'json' : 'yaml'),
    ]),
  );
  const declarations = Object.fromEntries(suites.map((suite) => [suite, declared[suite] ?? proposedDeclaration]));
  for (const suite of suites) {
    if (described[suite] === undefined) say(`${suite}: nobody has described it; profiles are proposals, unread`);
  }

  const opened = await Promise.all(
    suites.map(async (suite) => ({ suite, tools: await startFakeRecordedTools(corpus.tools[suite] ?? []) })),
  );
  let figures: Score | undefined;
  try {
    for (const { row, title } of ROWS.filter((one) => options.row === undefined || one.row === options.row)) {
      const gateway = await openReplayGateway(
        configOf(
          row,
          opened.map(({ suite, tools }) => ({ suite, url: tools.url })),
          profiles,
          declarations,
        ),
        starterOf(options.starter),
      );
      const all: Played[] = [];
      try {
        for (const { suite, tools } of opened) {
          const played: Played[] = [];
          for (const trace of corpus.traces.filter((one) => one.suite === suite))
            played.push(await playTrace(gateway, tools, row, declarations, trace));
          say(line(`${title}: ${suite}`, score(played, profiles)));
          all.push(...played);
        }
      } finally {
        await gateway.close();
      }
      const total = score(all, profiles);
      say(line(`${title}: all`, total));
      if (options.verbose) explain(row, total);
      if (row === 'declared') figures = total;
    }
  } finally {
    await Promise.all(opened.map(({ tools }) => tools.close()));
  }
  if (figures === undefined) return true;
  const short = options.starter === undefined ? missed(figures) : [];
  say(
    `replay: ASR ${percent(figures.attackSuccessRate)}, autonomous utility ${percent(figures.autonomousUtility)}, ` +
      `${figures.approvalsPerTask.toFixed(2)} approvals per benign task, utility with approvals ${percent(figures.utilityWithApprovals)}` +
      (short.length === 0 ? '' : ` — missed: ${short.join('; ')}`),
  );
  return short.length === 0;
}

/** Without their cases, which are about the estate that `remit init` writes. */
function starterOf(name: string | undefined): ReplayPolicies | undefined {
  if (name === undefined) return undefined;
  const strictness = STRICTNESSES.find((one) => one === name);
  if (strictness === undefined) throw new Error(`--starter takes one of ${STRICTNESSES.join(', ')}`);
  return starterPolicies(strictness).filter(({ path }) => path.endsWith('.cedar'));
}

function line(title: string, of: Score): string {
  return (
    `${title.padEnd(44)} ASR ${percent(of.attackSuccessRate).padStart(7)} (${of.succeeded.length}/${of.attacks})` +
    `  autonomous ${percent(of.autonomousUtility).padStart(7)} (${of.benign - of.interrupted.length}/${of.benign})` +
    `  approvals/task ${of.approvalsPerTask.toFixed(2)}  with approvals ${percent(of.utilityWithApprovals).padStart(7)}`
  );
}

function explain(row: Row, { succeeded, interrupted }: Score): void {
  for (const { trace, answers } of interrupted) {
    for (const [index, { verdict, policies, reason }] of answers.entries()) {
      if (verdict !== 'permit')
        say(
          `  ${row} ${trace.suite}/${trace.user_task} ${trace.calls[index]?.tool}: ${verdict} ${policies.join(',')} ${reason}`,
        );
    }
  }
  for (const { trace, answers } of succeeded) {
    const through = trace.calls.filter(({ src }, index) => src === 'injection' && answers[index]?.verdict === 'permit');
    say(
      `  ${row} ${trace.suite}/${trace.user_task} × ${trace.injection_task} through: ${through.map(({ tool }) => tool).join(', ')}`,
    );
  }
}

try {
  process.exitCode = (await main()) ? 0 : 1;
} catch (error) {
  process.stderr.write(`replay: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}
process.exit();
