import type { Trace } from './corpus.ts';
import type { FakeRecordedTools } from './fake-recorded-tools.ts';
import type { CallAnswer, ReplayGateway } from './gateway.ts';
import type { Declarations, Row } from './rows.ts';

/** What came of one trace, call by call. */
export interface Played {
  readonly trace: Trace;
  readonly answers: readonly CallAnswer[];
}

/**
 * Makes the calls of a trace in their order, under one task. A call that does not come through brings nothing, and the trace goes on as it was
 * recorded: an agent might have stopped there, which would only do less.
 */
export async function playTrace(
  gateway: ReplayGateway,
  tools: FakeRecordedTools,
  row: Row,
  declarations: Declarations,
  trace: Trace,
): Promise<Played> {
  const { suite } = trace;
  const task = await gateway.openTask({
    template: suite,
    ...(row === 'declared' && {
      prompt: { text: trace.prompt },
      // Of the user's task alone: what an attack adds to it is nobody's to declare.
      ...declarations[suite]?.tasks?.[trace.user_task],
    }),
  });
  const answers: CallAnswer[] = [];
  for (const call of trace.calls) {
    tools.expect(call);
    const answer = await task.call(`${suite}__${call.tool}`, call.args);
    if ((answer.verdict === 'permit') !== tools.wasCalled)
      throw new Error(`${call.tool}: ${answer.verdict}, yet the connector says otherwise`);
    answers.push(answer);
  }
  await task.end();
  return { trace, answers };
}
