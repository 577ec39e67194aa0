import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Command } from 'commander';
import { followRecords, readRecords, toJsonl } from '../../audit/read-records.ts';
import { createJournalAccess } from '../../compose/journal-access.ts';
import { STATE_KEY } from '../../compose/state-key.ts';
import { createSystem } from '../../compose/system.ts';
import { placesOf } from '../../compose/workspace.ts';
import { loadConfig } from '../../config/load-config.ts';
import { RemitError } from '../../domain/errors.ts';
import { type TaskId, taskId, traceId } from '../../domain/ids.ts';
import { type AuditRecord, RECORD_TYPES, type RecordType } from '../../domain/record.ts';
import { jsonText, lineText } from '../output.ts';
import { type Common, command, readCount } from '../program.ts';
import { recordChange } from '../record-change.ts';
import { withWorkspace } from '../with-workspace.ts';

interface TailOptions extends Common {
  readonly follow: boolean;
  readonly task?: string;
  readonly trace?: string;
  readonly type?: string;
  readonly last: string;
}

export function addAuditCommands(program: Command): void {
  const group = program.command('audit').description('the tamper-evident trail');

  command<TailOptions>(
    group,
    'tail',
    'show the newest records; with --json one a line',
    (c) =>
      c
        .option('-f, --follow', 'go on as records are added', false)
        .option('-n, --last <n>', 'how many', '20')
        .option('--task <id>', 'only of this task')
        .option('--trace <id>', 'only of this trace')
        .option('--type <list>', `only these types: ${RECORD_TYPES.join(', ')}`),
    async (output, options) => {
      const journal = createJournalAccess(placesOf(await loadConfig(options.config)).journal);
      const filter = {
        ...(options.task !== undefined && { task: taskId(options.task) }),
        ...(options.trace !== undefined && { trace: traceId(options.trace) }),
        ...(options.type !== undefined && { types: readTypes(options.type) }),
      };
      const print = (record: AuditRecord): void => {
        process.stdout.write(`${output.isJson ? jsonText(record) : lineText(describe(record))}\n`);
      };
      const newest: AuditRecord[] = [];
      const wanted = readCount('--last', options.last);
      let next = 0;
      for await (const record of readRecords(journal.read(0), filter)) {
        newest.push(record);
        next = record.seq + 1;
        if (newest.length > wanted) newest.shift();
      }
      newest.forEach(print);
      if (!options.follow) return;
      const stop = new AbortController();
      process.once('SIGINT', () => stop.abort());
      const { schedule } = createSystem({ log: 'silent' });
      for await (const record of followRecords(journal.read, {
        filter: { ...filter, since: next },
        schedule,
        signal: stop.signal,
      }))
        print(record);
    },
  );

  command<Common & { content: boolean }>(
    group,
    'show <span>',
    'show every record of one call; with --content also its sealed arguments',
    (c) => c.option('--content', 'open the sealed arguments with the vault key', false),
    async (output, options, [span = '']) => {
      await withWorkspace(options, async (workspace) => {
        const access = createJournalAccess(workspace.places.journal);
        const records: (AuditRecord & { content?: string })[] = [];
        for await (const record of readRecords(access.read(0))) {
          if (record.span !== span) continue;
          const content = options.content && record.sealed ? await access.openContent(workspace, record) : undefined;
          records.push(content === undefined ? record : { ...record, content });
        }
        if (records.length === 0)
          throw new RemitError('ERR_NOT_FOUND', `no record has span ${span}`, {
            hint: '`remit audit tail` shows spans.',
          });
        output.result(records, () => records.map((record) => jsonText(record, 2)).join('\n'));
      });
    },
  );

  command<Common & { folder?: string; key?: string; anchor?: string }>(
    group,
    'verify',
    'check every record against checksums, hash tree and signed checkpoints; offline',
    (c) =>
      c
        .option('--folder <path>', 'a journal, or a copy of one; left out: the configured one')
        .option('--key <vkey>', 'the verifier key as noted elsewhere; left out: the one in the folder is believed')
        .option('--anchor <file>', 'a checkpoint that was kept elsewhere'),
    async (output, options) => {
      const folder = options.folder ?? placesOf(await loadConfig(options.config)).journal;
      const verified = await createJournalAccess(folder).verify({ key: options.key, anchorFile: options.anchor });
      if (!verified.ok) {
        const { where, what } = verified.problem;
        const at = `${where.file}, byte ${where.offset}${where.record === undefined ? '' : `, record ${where.record}`}`;
        throw new RemitError('ERR_JOURNAL_DAMAGED', `the journal is not what was written: ${what} (${at})`, {
          where: at,
          hint: 'Keep this folder as it is for an investigation, and compare it with a backup or an exported checkpoint.',
        });
      }
      output.result(verified, () =>
        [
          `verified: ${verified.size} records, ${verified.checkpoints} signed checkpoints, ${verified.signedSize} records under a signature`,
          ...(options.key === undefined
            ? ['note: the verifier key was taken from the folder; give --key to rule out that it was replaced too']
            : []),
          ...(verified.incompleteBytes > 0
            ? [`note: ${verified.incompleteBytes} bytes of an incomplete last record`]
            : []),
        ].join('\n'),
      );
    },
  );

  command<Common & { format: string }>(
    group,
    'export',
    'write every record to standard output',
    (c) => c.option('--format <format>', 'jsonl', 'jsonl'),
    async (_output, options) => {
      if (options.format !== 'jsonl')
        throw new RemitError('ERR_USAGE', `format ${options.format} is not known`, { hint: 'Use jsonl.' });
      const journal = createJournalAccess(placesOf(await loadConfig(options.config)).journal);
      // A journal may be larger than memory: written only as fast as it is read.
      await pipeline(Readable.from(toJsonl(readRecords(journal.read(0)))), process.stdout, { end: false });
    },
  );

  command<Common>(
    group,
    'erase <task>',
    'erase the key of an ended task: its sealed arguments can never be read again; the trail still verifies',
    (c) => c,
    async (output, options, [task = '']) => {
      await withWorkspace(options, async (workspace) => {
        const { tenant } = workspace.estate;
        // Beside the keys of tasks there lies the one that seals what clients carry: without it, no gateway of this store starts as it was.
        if (task === STATE_KEY) {
          throw new RemitError('ERR_USAGE', `${task} is no task`, { hint: 'Name a task: `remit task ls --all`.' });
        }
        const known = await workspace.store.tasks.get(tenant, task as TaskId);
        if (known !== undefined && known.state !== 'ended') {
          throw new RemitError('ERR_USAGE', `${task} has not ended`, { hint: `End it first: remit task end ${task}` });
        }
        await recordChange(workspace, { action: 'content_key_erase', task });
        const erased = await workspace.store.taskKeys.erase(tenant, task as TaskId);
        if (!erased)
          throw new RemitError('ERR_NOT_FOUND', `there is no key of ${task}`, {
            hint: 'It may have been erased before.',
          });
        output.result({ task, erased }, () => `the key of ${task} is erased`);
      });
    },
  );
}

function describe(record: AuditRecord): string {
  const { seq, time, type, agent, user, tool, task, span, detail } = record;
  const who = [agent, user && `for ${user}`].filter(Boolean).join(' ');
  const said = ['verdict', 'status', 'policies', 'reason', 'scope', 'state']
    .filter((name) => detail[name] !== undefined && String(detail[name]) !== '')
    .map(
      (name) => `${name}=${Array.isArray(detail[name]) ? (detail[name] as string[]).join('+') : String(detail[name])}`,
    );
  return [`#${seq}`, time, type.padEnd(19), who, tool ?? record.connector ?? '', task ?? '', span ?? '', ...said]
    .filter((part) => part !== '')
    .join('  ');
}

function readTypes(text: string): RecordType[] {
  const types = text.split(',').map((type) => type.trim());
  const unknown = types.filter((type) => !RECORD_TYPES.includes(type as RecordType));
  if (unknown.length > 0)
    throw new RemitError('ERR_USAGE', `no record type is called ${unknown.join(', ')}`, {
      hint: `Types: ${RECORD_TYPES.join(', ')}.`,
    });
  return types as RecordType[];
}
