import { expect, it } from 'vitest';
import { SHORT_CALLS } from '../../crash/nodes/cluster.ts';
import { judge } from '../../crash/nodes/judge.ts';
import { newStories, type TaskStory } from '../../crash/nodes/load.ts';

/** One task of the short template, and a call of it for each effect, all of them answered. */
function world(times: readonly number[]) {
  const story: TaskStory = { id: 'tsk_1', template: 'short', barredFrom: undefined, taintedFrom: undefined };
  const stories = newStories();
  stories.tasks.set(story.id, story);
  const effects = times.map((at, n) => ({ id: `c${n}`, task: story.id, tool: 'send', at }));
  for (const { id, at } of effects)
    stories.calls.set(id, { task: story, tool: 'send', sentAt: at - 1, answered: 'done' });
  return { story, stories, effects };
}

const NOTHING = {
  duplicated: [],
  afterRevocation: [],
  labelsLost: [],
  beyondBudget: [],
  callsForgotten: [],
  lost: [],
};

it('finds nothing where every call is counted, done once, and allowed', () => {
  const { effects, stories } = world([10, 20, 30]);
  const adopted = [
    { task: 'tsk_1', node: 'node 1', used: 2, at: 25 },
    { task: 'tsk_other', node: 'node 2', used: 0, at: 25 },
  ];
  expect(judge(effects, stories, adopted)).toEqual(NOTHING);
});

it('finds calls that a node did not know of when it went on with their task', () => {
  const { effects, stories } = world([10, 20, 30]);
  const adopted = [
    { task: 'tsk_1', node: 'node 1', used: 1, at: 25 },
    { task: 'tsk_1', node: 'node 2', used: 3, at: 40 },
  ];
  const callsForgotten = ['tsk_1: 2 made, and node 1 went on with 1'];
  expect(judge(effects, stories, adopted)).toEqual({ ...NOTHING, callsForgotten });
});

it('finds what is done beyond a budget, twice, against an order, against a label, or not at all', () => {
  const { effects, stories, story } = world(Array.from({ length: SHORT_CALLS }, (_, n) => 10 * (n + 1)));
  story.barredFrom = 35;
  story.taintedFrom = 15;
  stories.calls.set('c9', { task: story, tool: 'send', sentAt: 1, answered: 'done' });
  const verdict = judge([...effects, effects[0] as (typeof effects)[number]], stories);
  expect(verdict).toMatchObject({
    duplicated: ['c0: 2 times'],
    beyondBudget: [`tsk_1: ${SHORT_CALLS + 1} of ${SHORT_CALLS}`],
    lost: ['c9'],
    callsForgotten: [],
  });
  expect(verdict.afterRevocation.map((text) => text.slice(0, 7))).toEqual(['send c3']);
  expect(verdict.labelsLost.map((text) => text.slice(0, 7))).toEqual(['send c1', 'send c2', 'send c3']);
});
