import { mkdtemp, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { exists, installPackages, run } from '../harness/install.ts';
import { type Results, readResults } from './results.ts';

export type Revision = '2025-11-25' | '2026-07-28';

/** The official suite, pinned, and the Node that it needs (22 or newer), where ours is older. Neither is a dependency of Remit. */
const SUITE = { '@modelcontextprotocol/conformance': '0.2.0-alpha.12' };
const NODE = '22.23.3';
const SCENARIO_TIMEOUT_MS = 20_000;
const SET_TIMEOUT_MS = 600_000;

export interface Suite {
  /** Program that runs it. */
  readonly node: string;
  /** Its command line. */
  readonly script: string;
  /** Folder for results. */
  readonly output: string;
  readonly requirements: (revision: Revision) => Promise<Requirements>;
  /** The one scenario of a server that is run; undefined for all that a revision names. */
  readonly scenario?: string;
}

export interface Requirements {
  /** Scenarios that count, by who is tested. */
  readonly server: readonly string[];
  readonly client: readonly string[];
  /** Scenarios of a server that run and do not count. */
  readonly unscored: readonly string[];
}

const requirementsFile = z.object({
  server: z.array(z.string()),
  client: z.array(z.string()),
  not_scored: z.array(z.object({ scenario: z.string(), leg: z.string() })),
});

/**
 * Installs the suite on the first run; later runs need no network.
 * @throws with what to do when it is not there and cannot be had
 */
export async function prepareSuite(output: string): Promise<Suite> {
  const ownNode = Number(process.versions.node.split('.')[0]) >= 22;
  const nodePackage = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`;
  const modules = await installPackages('conformance', { ...SUITE, ...(ownNode ? {} : { [nodePackage]: NODE }) }).catch(
    (error: unknown) => {
      throw new Error(
        `the conformance suite is not here and could not be installed. It needs the npm registry once; later runs are offline.\n${
          error instanceof Error ? error.message : String(error)
        }`,
      );
    },
  );
  const folder = join(modules, '@modelcontextprotocol/conformance');
  const node = ownNode ? process.execPath : join(modules, nodePackage, 'bin/node');
  const script = join(folder, 'dist/index.js');
  for (const file of [node, script])
    if (!(await exists(file))) throw new Error(`${file} is missing: delete ${modules} and run again with a network`);
  return {
    node,
    script,
    output,
    async requirements(revision) {
      const file = requirementsFile.parse(parse(await readFile(join(folder, `requirements/${revision}.yaml`), 'utf8')));
      return {
        server: file.server,
        client: file.client,
        unscored: file.not_scored.filter(({ leg }) => leg === 'server').map(({ scenario }) => scenario),
      };
    },
  };
}

/** The same suite for one scenario of a server: to look at a check again and again. */
export function narrow(suite: Suite, scenario: string): Suite {
  const isIt = (name: string): boolean => name === scenario;
  return {
    ...suite,
    scenario,
    async requirements(revision) {
      const { server, client, unscored } = await suite.requirements(revision);
      if (![...server, ...unscored].some(isIt)) throw new Error(`${revision} has no scenario ${scenario}`);
      return { server: server.filter(isIt), client, unscored: unscored.filter(isIt) };
    },
  };
}

/** Runs the server scenarios of a revision against a URL. A failed check is a result, not an error. */
export async function runServerSet(suite: Suite, url: string, revision: Revision): Promise<Results> {
  const folder = await mkdtemp(join(suite.output, `server-${revision}-`));
  const { scenario } = suite;
  const which =
    scenario === undefined ? ['--requirements', revision] : ['--scenario', scenario, '--spec-version', revision];
  const args = ['server', '--url', url, ...which, '--timeout', String(SCENARIO_TIMEOUT_MS)];
  return (await runSuite(suite, [...args, '--output-dir', folder], folder, 'server')).results;
}

export interface ClientRun {
  readonly results: Results;
  /** What the command itself says went wrong; undefined when it ended well. */
  readonly problem: string | undefined;
}

/** Runs one client scenario: the suite serves, the command is started with the server's URL as its last argument. */
export async function runClientScenario(
  suite: Suite,
  command: string,
  scenario: string,
  revision: Revision,
  isExtension = false,
): Promise<ClientRun> {
  const folder = await mkdtemp(join(suite.output, `client-${revision}-`));
  const args = ['client', '--command', command, '--scenario', scenario, '--spec-version', revision];
  // Extensions are on no revision's list, and skipped without it.
  if (isExtension) args.push('--force');
  const timeout = ['--timeout', String(SCENARIO_TIMEOUT_MS * 2)];
  const { results, said } = await runSuite(suite, [...args, ...timeout, '--output-dir', folder], folder, 'client');
  return { results, problem: problemOf(said) };
}

/** The suite repeats the command's output when it fails, and says so when it was too slow. */
export function problemOf(said: string): string | undefined {
  if (/^Client timed out after \d+ms$/m.test(said)) return 'the agent did not come to an end';
  if (!/^Client exited with code \d+$/m.test(said)) return undefined;
  return /^agent: (.+)$/m.exec(said)?.[1] ?? 'the agent failed';
}

async function runSuite(
  suite: Suite,
  args: readonly string[],
  folder: string,
  role: 'server' | 'client',
): Promise<{ results: Results; said: string }> {
  const ran = await run(suite.node, [suite.script, ...args], { timeoutMs: SET_TIMEOUT_MS, anyCode: true });
  const results = await readResults(folder, role, ran.stderr);
  if (results.size === 0) throw new Error(`the suite wrote no results\n${ran.stdout}\n${ran.stderr}`);
  return { results, said: ran.stderr };
}
