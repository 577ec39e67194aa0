import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openPolicies } from '../../src/compose/policies/policy-in-force.ts';
import { createSystem } from '../../src/compose/system.ts';
import { openTestJournal } from '../journal/journal-fixture.ts';
import { testEstate } from './policy-folder.ts';

/**
 * Reloads other policies, up to just before the record of it (`before`) or just behind it (`behind`), and never gets to putting them in force:
 * to be killed. Arguments: folder of policies, folder of the journal, where to stop. Prints the version that decides.
 */
const [folder = '', journalFolder = '', stop] = process.argv.slice(2);
const journal = await openTestJournal(journalFolder, {});
const policies = await openPolicies(
  {
    estate: testEstate(),
    system: createSystem({ log: 'silent' }),
    places: { policies: folder },
    config: { observe: [] },
  },
  () => ({
    recorder: {
      async record({ detail }) {
        if (stop === 'behind') await journal.append(Buffer.from(JSON.stringify(detail)));
        process.stdout.write(`${policies.engine().version}\n`);
        return new Promise<number>(() => setInterval(() => {}, 60_000));
      },
    },
    recordLater: () => {},
    get wire(): never {
      throw new Error('it was put in force');
    },
    observed: { letThrough: undefined, shadow: undefined },
  }),
);
await writeFile(join(folder, 'all.cedar'), '@id("closed")\nforbid (principal, action, resource);\n');
await policies.reload('dana');
