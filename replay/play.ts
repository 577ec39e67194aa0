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
 * Makes the calls of a trace in their order, under one task. What is held of a benign one is approved and made again. A call that does not come
 * through brings nothing, and the trace goes on as it was recorded: an agent might have stopped there, which would only do less.
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

  /** A person approves what is held of honest work, and the agent makes the same call again. Of attacks nobody approves anything. */
  async function lift(held: CallAnswer, call: Trace['calls'][number]): Promise<CallAnswer> {
    if (held.verdict !== 'step_up' || held.approval === undefined) return held;
    await gateway.approve(held.approval);
    const again = await task.call(`${suite}__${call.tool}`, call.args);
    return again.verdict === 'permit' ? { ...held, isLifted: true } : held;
  }

  for (const call of trace.calls) {
    tools.expect(call);
    const first = await task.call(`${suite}__${call.tool}`, call.args);
    const answer = trace.kind === 'benign' ? await lift(first, call) : first;
    const isThrough = answer.verdict === 'permit' || answer.isLifted === true;
    if (isThrough !== tools.wasCalled)
      throw new Error(`${call.tool}: ${answer.verdict}, yet the connector says otherwise`);
    answers.push(answer);
  }
  await task.end();
  return { trace, answers };
}
