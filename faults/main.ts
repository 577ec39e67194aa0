import { parseArgs } from 'node:util';
import pg from 'pg';
import { DATABASE, startPostgresDownstream } from '../crash/downstream.ts';
import { type Home, makeHome } from '../crash/estate.ts';
import { startFakeTools } from '../crash/fake-tools.ts';
import { startFickleProxy } from './fickle-proxy.ts';
import { noteForwarded } from './forwarded.ts';
import { findFaketime, findStrace } from './injection.ts';
import { runScenario, type Stage } from './run-scenario.ts';
import { type Scenario, scenarios } from './scenarios.ts';

/**
 * `npm run faults`: system calls that fail under a gateway's journal and store, full and lost files, clocks that jump, databases that are down;
 * after each, a start without the fault and what must hold then (guarantees A1, A3, A4, L5). docs/faults.md explains it.
 *
 *   --quick        a scenario of each kind
 *   --only TEXT    scenarios whose name holds it
 *   --list         their names
 */
const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    list: { type: 'boolean', default: false },
  },
});

const say = (text: string): void => void process.stdout.write(`${text}\n`);

async function main(): Promise<boolean> {
  const { only } = options;
  const chosen = scenarios().filter(
    ({ name, quick }) => (only === undefined || name.includes(only)) && (!options.quick || quick === true),
  );
  if (options.list) {
    for (const { name } of chosen) say(name);
    return true;
  }
  if (chosen.length === 0) throw new Error('no scenario has such a name');
  const strace = await findStrace();
  const faketime = chosen.some(({ clock }) => clock === true) ? await findFaketime() : undefined;
  const downstream = await startPostgresDownstream();
  const tools = await startFakeTools({
    postgres: { port: downstream.port, database: DATABASE },
    onCall: () => {},
    onUsed: () => {},
  });
  const forwarded = await noteForwarded(tools.url('postgres'));
  const homes: Home[] = [];
  const storeProxy = await startFickleProxy(downstream.port);
  let violations = 0;
  try {
    const postgres = {
      port: downstream.port,
      password: downstream.password,
      toolsUrl: `http://127.0.0.1:${forwarded.port}/`,
    };
    const inFile = await makeHome({ postgres });
    homes.push(inFile);
    const databaseUrl = await downstream.makeDatabase('remit_store');
    const url = databaseUrl.replace(/:\d+\//, `:${storeProxy.port}/`);
    const inDatabase = chosen.some(({ store }) => store === true)
      ? await makeHome({ postgres, store: { url, variable: 'REMIT_FAULTS_STORE' } })
      : undefined;
    if (inDatabase !== undefined) homes.push(inDatabase);
    const sql = async (statement: string): Promise<void> => {
      const client = new pg.Client({ connectionString: databaseUrl.replace(/\/remit_store$/, '/postgres') });
      await client.connect();
      await client.query(statement).finally(() => client.end());
    };
    for (const scenario of chosen) violations += await perform(scenario);

    async function perform(scenario: Scenario): Promise<number> {
      const home = scenario.store === true ? inDatabase : inFile;
      if (home === undefined) return 0;
      const store = scenario.store === true ? storeProxy : undefined;
      const stage: Stage = { home, downstream, forwarded, strace, faketime, store, sql };
      const outcome = await runScenario(scenario, stage).catch((error: unknown) => ({
        what: 'the scenario could not be run',
        violations: [error instanceof Error ? error.message : String(error)],
      }));
      store?.set('pass');
      say(`${outcome.violations.length === 0 ? '✔' : '✘'} ${scenario.name}: ${outcome.what}`);
      for (const violation of outcome.violations) say(`    ${violation}`);
      return outcome.violations.length;
    }
  } finally {
    await storeProxy.close();
    await forwarded.close();
    await tools.close();
    await downstream.stop();
    for (const home of homes) await home.remove();
  }
  say(`faults: ${chosen.length} scenarios, ${violations} violations`);
  return violations === 0;
}

main().then(
  (isFine) => process.exit(isFine ? 0 : 1),
  (error: unknown) => {
    process.stderr.write(`faults: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(1);
  },
);
