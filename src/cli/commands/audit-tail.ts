import type { Command } from 'commander';
import { readNewest } from '../../audit/read-backwards.ts';
import { followRecords } from '../../audit/read-records.ts';
import { createSystem } from '../../compose/system.ts';
import { createJournalAccess } from '../../compose/trail/journal-access.ts';
import { placesOf } from '../../compose/workspace.ts';
import { loadConfig } from '../../config/load-config.ts';
import type { AuditRecord } from '../../domain/record.ts';
import { type Common, command, readCount } from '../command.ts';
import { jsonText } from '../output.ts';
import { type RecordOptions, readRecordFilter, recordOptions } from '../record-options.ts';
import { recordLine } from '../record-text.ts';

interface TailOptions extends Common, RecordOptions {
  readonly follow: boolean;
  readonly last: string;
}

export function addTailCommand(group: Command): void {
  command<TailOptions>(
    group,
    'tail',
    'show the newest records; with --json one a line',
    (c) =>
      recordOptions(
        c.option('-f, --follow', 'go on as records are added', false).option('-n, --last <n>', 'how many', '20'),
      ),
    async (output, options) => {
      const wanted = readCount('--last', options.last);
      const { schedule, clock } = createSystem({ log: 'silent' });
      const filter = readRecordFilter(options, clock());
      const journal = createJournalAccess(placesOf(await loadConfig(options.config)).journal);
      const print = (record: AuditRecord): void => {
        process.stdout.write(`${output.isJson ? jsonText(record) : recordLine(record)}\n`);
      };
      const { records, next } = await readNewest(journal, wanted, filter);
      records.forEach(print);
      if (!options.follow) return;
      const stop = new AbortController();
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
      for await (const record of followRecords(journal.read, {
        filter: { ...filter, since: next },
        schedule,
        signal: stop.signal,
      }))
        print(record);
    },
  );
}
