import { describe, expect, it } from 'vitest';
import { readTrail } from '../../src/audit/read-trail.ts';
import { createRecorder } from '../../src/audit/recorder.ts';
import { markDetail, readMark } from '../../src/audit/recovery-mark.ts';
import { recover } from '../../src/compose/trail/recover.ts';
import type { RememberedFlow } from '../../src/domain/flow.ts';
import { type AgentId, agentId, type TaskId, taskId } from '../../src/domain/ids.ts';
import { decision, IDENTITY, memoryJournal, NOW, TENANT } from '../audit/fixtures.ts';

const [GOING, ENDED, FORGOTTEN, NEW, FOREIGN] = ['going', 'ended', 'forgotten', 'new', 'foreign'].map((name) =>
  taskId(`tsk_${name}`),
) as [TaskId, TaskId, TaskId, TaskId, TaskId];

type Parts = Parameters<typeof recover>[0];

/** A trail, and what a store says is alive; tells what became of the tasks. */
async function recovered(
  journal: ReturnType<typeof memoryJournal>,
  live: readonly [TaskId, AgentId][],
  amongNodes = false,
) {
  const ended: [TaskId, string][] = [];
  const used: [TaskId, number][] = [];
  const alive = new Map(live);
  const reads: number[] = [];
  const steps: string[] = [];
  const restored: [string, unknown][] = [];
  const segmented = {
    ...journal,
    read(from: number) {
      reads.push(from);
      return journal.read(from);
    },
    segments: async () => [{ first: 0, end: journal.size, begunAt: 0, bytes: 0 }],
  };
  const trail = await readTrail(segmented);
  reads.length = 0;
  const silent = () => {};
  await recover({
    workspace: {
      estate: { agents: new Map([[IDENTITY.agent, {}]]) },
      system: { log: { debug: silent, info: silent, warn: silent, error: silent } },
    },
    journal: segmented,
    trail,
    recorder: createRecorder({ journal, clock: () => NOW, tenant: TENANT }),
    risk: { restore: () => void steps.push('risks') },
    tasks: {
      load: async () => ({ restored: alive.size }),
      live: () => [...alive].map(([id, agent]) => ({ id, agent })),
      async end(id: TaskId, reason: string) {
        ended.push([id, reason]);
        alive.delete(id);
      },
      restoreUsed: (id: TaskId, calls: number) => void used.push([id, calls]),
    },
    leases: { recover: async () => void steps.push('leases') },
    taskKeys: { load: async () => {} },
    prompts: { restore: (id: TaskId, digest: string) => void restored.push([id, digest]) },
    flow: {
      restore: ({ id }: { id: TaskId }, { labels }: RememberedFlow) => void restored.push([id, labels.dataClasses]),
    },
    rejoin: amongNodes
      ? async () => {
          const open = journal.payloads.filter((payload) => payload.toString().includes('"outcome_unknown"'));
          steps.push(`join, ${open.length} told of`);
          return alive.size;
        }
      : undefined,
  } as unknown as Parts);
  return { ended, used, reads, steps, restored, state: trail.state };
}

describe('recovery of tasks', () => {
  async function trailWithMark(): Promise<ReturnType<typeof memoryJournal>> {
    const journal = memoryJournal();
    const { record } = createRecorder({ journal, clock: () => NOW, tenant: TENANT });
    for (const task of [GOING, ENDED, FORGOTTEN]) {
      await record({ type: 'task_started', ...IDENTITY, task, detail: {} });
      await record(decision(task, `span-${task}`));
      await record({ ...decision(task, `span-${task}`), type: 'outcome', detail: { status: 'ok' } });
    }
    const { state } = await readTrail({
      ...journal,
      segments: async () => [{ first: 0, end: 9, begunAt: 0, bytes: 0 }],
    });
    state.tasks.delete(FORGOTTEN);
    await record({ type: 'recovery_mark', detail: markDetail(state) });
    await record({ type: 'task_ended', ...IDENTITY, task: ENDED, detail: { reason: 'completed' } });
    return journal;
  }

  it('A5 charges what the trail says, and ends tasks that the trail has ended, or has records of that the mark forgets', async () => {
    const { agent } = IDENTITY;
    const { ended, used } = await recovered(await trailWithMark(), [
      [GOING, agent],
      [ENDED, agent],
      [FORGOTTEN, agent],
      [NEW, agent],
    ]);
    expect(ended).toEqual([
      [ENDED, 'revoked'],
      [FORGOTTEN, 'revoked'],
    ]);
    expect(used).toEqual([
      [GOING, 1],
      [NEW, 0],
    ]);
  });

  it('A5 gives back to a task that goes on what it has read, and the prompt that it follows from', async () => {
    const journal = await trailWithMark();
    const { record } = createRecorder({ journal, clock: () => NOW, tenant: TENANT });
    const flow = { labels: { trust: 'untrusted', dataClasses: ['personal'], zones: [] }, outward: 0 };
    await record({ type: 'prompt', ...IDENTITY, task: GOING, detail: { digest: 'sha256:1' } });
    await record(decision(GOING, 'later', { flow }));
    const { restored } = await recovered(journal, [[GOING, IDENTITY.agent]]);
    expect(restored).toEqual([
      [GOING, 'sha256:1'],
      [GOING, ['personal']],
    ]);
  });

  it('A5 reads the whole trail only where the store has a task that the mark does not know', async () => {
    const { agent } = IDENTITY;
    expect((await recovered(await trailWithMark(), [[GOING, agent]])).reads).toEqual([]);
    expect((await recovered(await trailWithMark(), [[NEW, agent]])).reads).toEqual([0]);
    // The gateway's own, for a listing that a crash cut off, ends anyway.
    const foreign = await recovered(await trailWithMark(), [[FOREIGN, agentId('remit')]]);
    expect(foreign.reads).toEqual([]);
    expect(foreign.ended).toEqual([[FOREIGN, 'agent_disabled']]);
  });

  it('A5 forgets what has ended without a record of it, and knows what has no record yet', async () => {
    const { state } = await recovered(await trailWithMark(), [[NEW, IDENTITY.agent]]);
    expect([...state.tasks].map(([id, { hasEnded }]) => [id, hasEnded])).toEqual([
      [GOING, true],
      [ENDED, true],
      [NEW, false],
    ]);
  });

  it('A5 a mark of a task that has no record yet can be read: a crash may have taken the record of its start', async () => {
    const { state } = await recovered(await trailWithMark(), [[NEW, IDENTITY.agent]]);
    const mark = {
      seq: state.upTo,
      time: '',
      tenant: TENANT,
      type: 'recovery_mark',
      detail: markDetail(state),
    } as const;
    expect(readMark(mark).tasks.get(NEW)).toMatchObject({ from: state.upTo, calls: 0 });
  });

  it('A1 among several nodes settles what it left before it goes on with what is its own, and forgets what may be others’', async () => {
    const journal = await trailWithMark();
    const { record } = createRecorder({ journal, clock: () => NOW, tenant: TENANT });
    const away = taskId('tsk_away');
    for (const task of [GOING, away]) await record(decision(task, `open-${task}`));
    const { ended, used, steps, state } = await recovered(journal, [[GOING, IDENTITY.agent]], true);
    expect(steps).toEqual(['risks', 'join, 2 told of', 'leases']);
    expect([ended, used], 'the nodes see to that').toEqual([[], []]);
    expect([...state.tasks].map(([id, { hasEnded }]) => [id, hasEnded])).toEqual([
      [GOING, false],
      [ENDED, true],
    ]);
  });
});
