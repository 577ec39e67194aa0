import type { Command } from 'commander';
import { findCall } from '../../audit/find-call.ts';
import { findStoryStart } from '../../audit/read-backwards.ts';
import { readRecords } from '../../audit/read-records.ts';
import { traceCall } from '../../audit/trace-call.ts';
import { buildEstate } from '../../compose/estate.ts';
import { explainCall } from '../../compose/explain/explain-call.ts';
import { policiesNow } from '../../compose/policies/read-in-force.ts';
import { createJournalAccess } from '../../compose/trail/journal-access.ts';
import { journalFolders } from '../../compose/trail/journal-folders.ts';
import { orElsewhere } from '../../compose/trail/journal-parts.ts';
import { placesOf } from '../../compose/workspace.ts';
import { loadConfig } from '../../config/load-config.ts';
import { RemitError } from '../../domain/errors.ts';
import { type Common, command } from '../command.ts';
import { type ContentOptions, contentOptions, openContents } from '../content-options.ts';
import { explanationJson, explanationText } from '../explanation-text.ts';
import { type JournalOptions, journalOptions } from '../journal-options.ts';
import { openSource, orNameFolder, type PoliciesOption, policiesOption } from '../policy-source.ts';
import { sourceProblem } from '../policy-source-text.ts';

export function addWhyCommand(program: Command): void {
  command<Common & ContentOptions & JournalOptions & PoliciesOption & { last: boolean; task?: string; agent?: string }>(
    program,
    'why [call]',
    'why one call was permitted, denied or held: each gate with what it said, and what would have to change',
    (c) =>
      policiesOption(journalOptions(contentOptions(c)))
        .option('--last', 'the newest call', false)
        .option('--task <id>', 'of this task')
        .option('-a, --agent <name>', 'of this agent'),
    async (output, options, [given]) => {
      const id = options.last ? 'last' : given;
      if (id === undefined || id === '') {
        throw new RemitError('ERR_USAGE', 'no call is named', {
          hint: 'Give its id (or the start of it), a trace, a task, an approval, or --last: `remit audit tail --type decision` shows them.',
        });
      }
      const loaded = await loadConfig(options.config);
      const places = placesOf(loaded);
      const { task, agent } = options;
      let access = createJournalAccess(places.journal);
      let span = await findCall(access, { id, task, agent });
      for (const folder of await journalFolders(options.journal)) {
        if (span !== undefined) break;
        access = createJournalAccess(folder);
        span = await findCall(access, { id, task, agent });
      }
      const from = span === undefined ? undefined : await findStoryStart(access, { kind: 'call', span });
      const trace =
        span === undefined || from === undefined ? undefined : await traceCall(readRecords(access.read(from)), span);
      if (trace === undefined) {
        throw new RemitError('ERR_NOT_FOUND', `no call on the trail is ${id}`, {
          hint: orElsewhere(loaded.config, '`remit audit tail --type decision` shows those that there are.'),
        });
      }
      const estate = buildEstate(loaded.config);
      // What was decided is on the trail, whatever can be known of the policies of now.
      const looked = await orNameFolder('--policies', async () => {
        const sourced = await openSource(options, loaded);
        return { source: sourced.source, now: policiesNow(sourced, estate) };
      }).catch((error: unknown) => ({ problem: sourceProblem(error) }));
      const explanation = explainCall(trace, estate, 'now' in looked ? looked.now : undefined);
      const { record, sealed } = trace;
      const about = { id: trace.span, task: record.task, trace: record.trace };
      const contents = options.content ? await openContents(options, access, about, sealed) : undefined;
      const source = 'source' in looked ? looked.source : looked;
      output.result(explanationJson(explanation, contents, source), () =>
        explanationText(explanation, contents, source),
      );
    },
  );
}
