import { createJournalReader } from '../../adapters/journal/journal-reader.ts';
import { signedSize } from '../../adapters/journal/signed-size.ts';
import { createRowWriter, type RowWriter } from '../../audit/write-rows.ts';
import { RemitError } from '../../domain/errors.ts';
import type { Workspace } from '../workspace.ts';

/** Adds the records of this journal to a table; undefined when nothing is configured. @throws `ERR_CONFIG_INVALID` */
export async function openRows(workspace: Workspace, origin: () => Promise<string>): Promise<RowWriter | undefined> {
  const { config, places, node, system } = workspace;
  const { postgres } = config.journal.ship;
  if (postgres === undefined) return undefined;
  const url = system.environment(postgres.urlVariable);
  if (url === undefined || url === '') {
    throw new RemitError('ERR_CONFIG_INVALID', `the environment variable ${postgres.urlVariable} is not set`, {
      where: 'journal.ship.postgres.urlVariable',
      hint: `Set ${postgres.urlVariable}=postgres://user:password@host:5432/database.`,
    });
  }
  const { createPostgresRows } = await import('../../adapters/rows/postgres-rows.ts');
  const rows = createPostgresRows({ url });
  const reader = createJournalReader(places.journal);
  const writer = createRowWriter({
    rows,
    journal: await origin(),
    node: node ?? '',
    read: (from) => reader.read(from),
    signedSize: () => signedSize(places.journal),
    everyMs: postgres.everySeconds * 1000,
    schedule: system.schedule,
    log: system.log,
  });
  return {
    ...writer,
    async stop() {
      await writer.stop();
      await rows.close();
    },
  };
}
