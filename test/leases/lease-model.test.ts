import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toolRef } from '../../src/domain/ids.ts';
import type { Task } from '../../src/domain/task.ts';
import type { HeldLease } from '../../src/leases/held-lease.ts';
import {
  createStage,
  type IssuePlan,
  type RevokePlan,
  SETTLED_MS,
  type Stage,
  type StagedProcess,
  type StageOptions,
} from './lease-stage.ts';
import { SHOP } from './lease-world.ts';

/** What a reader of the design page holds true; the code is the other side. */
interface Model {
  readonly states: ('active' | 'suspended')[];
  isStopped: boolean;
}

interface Real {
  readonly stage: Stage;
  process: StagedProcess;
  tasks: Task[];
  readonly ended: Set<string>;
  /** Count of commands: what was asked for before a revocation is not served after it. */
  step: number;
  readonly cutAt: Map<string, number>;
}

type Command = fc.AsyncCommand<Model, Real>;
const TASKS = [0, 1, 2] as const;
const TOOLS = ['list', 'refund'].map((name) => ({
  ref: toolRef(SHOP, name),
  profile: { actionClass: 'read' as const },
}));

const newTasks = ({ world }: Stage): Task[] => [
  world.task(),
  world.task({ expiresAt: world.time.clock() + 100_000 }),
  world.task(),
];
const ticks = async (count: number) => {
  for (let tick = 0; tick < count; tick++) await Promise.resolve();
};
const newModel = (): Model => ({ states: ['active', 'active', 'active'], isStopped: false });
/** The process can be asked something. */
const goes = (model: Readonly<Model>) => !model.isStopped;

function command(
  name: string,
  check: (model: Readonly<Model>) => boolean,
  run: (model: Model, real: Real) => Promise<unknown>,
): Command {
  return {
    check,
    async run(model, real) {
      real.step += 1;
      await run(model, real);
    },
    toString: () => name,
  };
}

function watch(
  real: Real,
  task: Task,
  mayBeServed: boolean,
  acquired: ReturnType<StagedProcess['manager']['acquire']>,
  callMs: number | undefined,
): void {
  const { stage, step } = real;
  const { world, broken, issuer } = stage;
  const served = (held: HeldLease | undefined): void => {
    if (held === undefined || !held.isLive) return;
    const { tag, id, expiresAt } = held.lease;
    if (!mayBeServed) broken.push(`${tag} was served to a task that is ended or suspended`);
    if (step < (real.cutAt.get(task.id) ?? -1)) broken.push(`${tag} was served although it was called off`);
    if (world.time.clock() >= expiresAt) broken.push(`${tag} was served after its end`);
    else if (!issuer.live.has(tag)) broken.push(`${tag} was served and does not live`);
    if (world.repository.rows.get(id)?.state === 'ended') broken.push(`${tag} was served from an ended row`);
    if (callMs !== undefined) world.time.schedule(callMs, () => held.endCall?.());
  };
  void Promise.resolve(acquired).then(served, () => {});
}

const acquire = (index: number, tool: number, callMs: number | undefined): Command =>
  command(`acquire(${index}, ${tool}, ${callMs})`, goes, async (model, real) => {
    const task = real.tasks[index] as Task;
    const state = model.states[index] as 'active' | 'suspended';
    const mayBeServed = state === 'active';
    watch(real, task, mayBeServed, real.process.manager.acquire({ ...task, state }, SHOP, TOOLS[tool]), callMs);
  });

const endTask = (index: number): Command =>
  command(`end(${index})`, goes, async (model, real) => {
    const { world } = real.stage;
    const task = real.tasks[index] as Task;
    real.cutAt.set(task.id, real.step);
    real.ended.add(task.id);
    void real.process.manager.revokeTask(task.id, 'revoked').catch(() => {});
    // A call that was under way when its task ended.
    watch(real, task, false, real.process.manager.acquire(task, SHOP, TOOLS[0]), undefined);
    real.tasks = real.tasks.with(index, world.task({ expiresAt: world.time.clock() + 200_000 }));
    model.states[index] = 'active';
  });

const suspend = (index: number): Command =>
  command(`suspend(${index})`, goes, async (model, real) => {
    const task = real.tasks[index] as Task;
    model.states[index] = 'suspended';
    real.cutAt.set(task.id, real.step);
    void real.process.manager.suspendTask(task.id, 'suspended').catch(() => {});
  });

const goOn = (index: number): Command =>
  command(`go on(${index})`, goes, async (model) => {
    model.states[index] = 'active';
  });

const revokeAllOf = (what: 'connector' | 'agent'): Command =>
  command(`revoke ${what}`, goes, async (_model, real) => {
    for (const { id } of real.tasks) real.cutAt.set(id, real.step);
    const { manager } = real.process;
    const { agent } = real.tasks[0] as Task;
    const revoked =
      what === 'connector' ? manager.revokeConnector(SHOP, 'suspended') : manager.revokeAgent(agent, 'suspended');
    void revoked.catch(() => {});
  });

const revokeNewest = (): Command =>
  command('revoke newest', goes, async (_model, { process, stage }) => {
    const newest = [...stage.world.repository.rows.keys()].at(-1);
    if (newest !== undefined) void process.manager.revoke(newest, 'by hand').catch(() => {});
  });

const crash = (after: number): Command =>
  command(
    `crash(${after})`,
    () => true,
    async (model, real) => {
      await ticks(after);
      real.process.kill();
      model.isStopped = false;
      real.process = real.stage.startProcess();
      real.tasks = newTasks(real.stage);
      model.states.fill('active');
      const recovered = real.process.manager.recover();
      await real.stage.world.time.advance(2_000);
      await recovered;
    },
  );

const stop = (after: number): Command =>
  command(`stop(${after})`, goes, async (model, real) => {
    await ticks(after);
    real.process.stop();
    model.isStopped = true;
  });

const proceed = (): Command =>
  command(
    'continue',
    (model) => model.isStopped,
    async (model, real) => {
      real.process.go();
      model.isStopped = false;
    },
  );

const always = () => true;
const reap = (): Command => command('reap', always, async (_model, { stage }) => void stage.reap().catch(() => {}));
const passTime = (ms: number): Command =>
  command(`pass ${ms} ms`, always, async (_model, { stage }) => stage.world.time.advance(ms));
const passTicks = (count: number): Command => command(`pass ${count} ticks`, always, async () => ticks(count));
const nextIssue = (plan: IssuePlan): Command =>
  command(`next issue ${JSON.stringify(plan)}`, always, async (_model, { stage }) => stage.planIssue(plan));
const nextRevoke = (plan: RevokePlan): Command =>
  command(`next revoke ${JSON.stringify(plan)}`, always, async (_model, { stage }) => stage.planRevoke(plan));

const delays = fc.option(fc.integer({ min: 0, max: 40_000 }), { nil: undefined, freq: 6 });
const task = fc.constantFrom(...TASKS);
const acquires = fc.tuple(task, fc.nat({ max: 1 }), delays).map((asked) => acquire(...asked));
const commands = fc.commands(
  [
    acquires,
    acquires,
    acquires,
    task.map(endTask),
    task.map(suspend),
    task.map(goOn),
    fc.constantFrom('connector' as const, 'agent' as const).map(revokeAllOf),
    fc.constant(revokeNewest()),
    fc.record({ commitsAfter: delays, repliesAfter: delays, isRefused: fc.boolean() }).map(nextIssue),
    fc.record({ commitsAfter: delays, repliesAfter: delays, isRefused: fc.constant(false) }).map(nextIssue),
    fc.record({ removesAfter: delays, repliesAfter: delays }).map(nextRevoke),
    fc.integer({ min: 0, max: 400_000 }).map(passTime),
    fc.integer({ min: 0, max: 20_000 }).map(passTime),
    fc.nat({ max: 12 }).map(passTicks),
    fc.nat({ max: 30 }).map(crash),
    fc.nat({ max: 30 }).map(stop),
    fc.constant(proceed()),
    fc.constant(reap()),
  ],
  { maxCommands: 40, size: 'max' },
);

async function play(options: StageOptions, script: Iterable<Command>): Promise<void> {
  const stage = createStage(options);
  const { world, issuer, broken } = stage;
  const { time, repository } = world;
  const real: Real = {
    stage,
    process: stage.startProcess(),
    tasks: newTasks(stage),
    ended: new Set(),
    step: 0,
    cutAt: new Map(),
  };
  await real.process.manager.recover();
  await fc.asyncModelRun(() => ({ model: newModel(), real }), script);

  // Everything settles: no more faults, and time for every retry.
  real.process.go();
  stage.mend();
  await time.advance(SETTLED_MS + 180_000);
  const open = [...repository.rows.values()].filter((row) => row.state === 'active' || row.state === 'lapsing');
  const known = new Set(open.map((row) => row.tag));
  // L5: what lives downstream is held by an active lease, or lapses.
  expect([...issuer.live.keys()].filter((tag) => !known.has(tag))).toEqual([]);
  const overdue = open.filter((row) => row.expiresAt < time.clock() || real.ended.has(row.task));
  expect(overdue.filter((row) => row.state === 'active')).toEqual([]);
  await real.process.manager.revokeAll('gateway_stopped');
  await time.advance(3_600_000);
  expect([...issuer.live.keys()]).toEqual([]);
  expect([...repository.rows.values()].filter((row) => row.state !== 'ended')).toEqual([]);
  expect(real.process.manager.counts()).toEqual({ held: 0, issuing: 0, revoking: 0 });
  expect(repository.handles.size).toBe(0);
  real.process.kill();
  expect(broken).toEqual([]);
}

describe('random histories of acquire, suspend, end, revoke, late and lost answers, crashes, stops and a reaper', () => {
  it.each<StageOptions>([
    { revocation: 'immediate', mode: 'task', hasHandles: false },
    { revocation: 'next_use', mode: 'task_tool', hasHandles: false },
    { revocation: 'immediate', mode: 'call', hasHandles: true },
  ])(
    'L1 L4 L5 L7 leave nothing alive that no lease answers for, and call nothing gone that lives ($mode, $revocation, handles: $hasHandles)',
    async (options) => {
      await fc.assert(
        fc.asyncProperty(commands, (script) => play(options, script)),
        { numRuns: 200 },
      );
    },
    300_000,
  );
});
