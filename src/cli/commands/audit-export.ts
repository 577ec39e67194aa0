import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Command } from 'commander';
import { readRecords, toJsonl } from '../../audit/read-records.ts';
import { toOcsfLines } from '../../audit/to-ocsf.ts';
import { createSystem } from '../../compose/system.ts';
import { createJournalAccess } from '../../compose/trail/journal-access.ts';
import { placesOf } from '../../compose/workspace.ts';
import { loadConfig } from '../../config/load-config.ts';
import { RemitError } from '../../domain/errors.ts';
import { type Common, command } from '../command.ts';
import { type RecordOptions, readRecordFilter, recordOptions } from '../record-options.ts';

const FORMATS = ['jsonl', 'ocsf'];

export function addExportCommand(group: Command, version: string): void {
  command<Common & RecordOptions & { format: string }>(
    group,
    'export',
    'write records to standard output, one JSON object a line',
    (c) =>
      recordOptions(c.option('--format <format>', 'jsonl: as they are recorded; ocsf: events of OCSF 1.8', 'jsonl')),
    async (_output, options) => {
      const { format } = options;
      if (!FORMATS.includes(format))
        throw new RemitError('ERR_USAGE', `format ${format} is not known`, { hint: `Formats: ${FORMATS.join(', ')}.` });
      const filter = readRecordFilter(options, createSystem({ log: 'silent' }).clock());
      const journal = createJournalAccess(placesOf(await loadConfig(options.config)).journal);
      const records = readRecords(journal.read(0), filter);
      const lines = format === 'ocsf' ? toOcsfLines(records, version) : toJsonl(records);
      // A journal may be larger than memory: written only as fast as it is read.
      await pipeline(Readable.from(lines), process.stdout, { end: false });
    },
  );
}
