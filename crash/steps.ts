import type { Random } from '../harness/random.ts';
import { POINTS, type Point } from '../harness/tcp-proxy.ts';

/** Where a kill is to come. */
export type Step =
  | { readonly kind: 'random' }
  /** While the gateway starts: recovery, discovery. */
  | { readonly kind: 'start-up' }
  /** At a change of the store's or the journal's files: rows and records of intents, issues and revocations. */
  | { readonly kind: 'disk' }
  | { readonly kind: 'wire'; readonly downstream: string; readonly what: string; readonly point: Point }
  /** The statement is under way when the gateway dies, and reaches the downstream after the next one has revoked (L4). */
  | { readonly kind: 'late'; readonly downstream: string; readonly what: string }
  /** A tool has been called with the credential, or has used it and not answered. */
  | { readonly kind: 'tool'; readonly at: 'called' | 'used' };

export interface Plan {
  readonly step: Step;
  /** Lets so many pass first: another lease's, another task's. */
  readonly skip: number;
  /** From there to the kill. */
  readonly delayMs: number;
  /** From the start of the process on, rather than under load. */
  readonly isEarly: boolean;
}

const POSTGRES = ['create', 'create-commit', 'bar', 'terminate', 'drop', 'drop-commit'];
const REDIS = ['create', 'delete'];

export function nameOf(step: Step): string {
  switch (step.kind) {
    case 'wire':
      return `${step.downstream} ${step.what} ${step.point}`;
    case 'late':
      return `${step.downstream} ${step.what} arrives late`;
    case 'tool':
      return `credential ${step.at === 'called' ? 'on its way to the tool' : 'in use by the tool'}`;
    case 'disk':
      return 'write to store or journal';
    case 'start-up':
      return 'while starting';
    default:
      return 'random point';
  }
}

/** Every step there is; each must be hit. */
export function allSteps(withRedis: boolean): Step[] {
  const wire = (downstream: string, whats: readonly string[]): Step[] =>
    whats.flatMap((what) => POINTS.map((point): Step => ({ kind: 'wire', downstream, what, point })));
  return [
    { kind: 'random' },
    { kind: 'start-up' },
    { kind: 'disk' },
    { kind: 'tool', at: 'called' },
    { kind: 'tool', at: 'used' },
    ...wire('postgres', POSTGRES),
    { kind: 'late', downstream: 'postgres', what: 'create-commit' },
    ...(withRedis ? [...wire('redis', REDIS), { kind: 'late', downstream: 'redis', what: 'create' } as const] : []),
  ];
}

/**
 * A pack of plans without end: each step once a round, and as many at random points and at writes as together make a third.
 * @param kills how many are wanted in all: a run too short for that many has each step first
 */
export function dealPlans(random: Random, withRedis: boolean, kills: number): () => Plan {
  const steps = allSteps(withRedis);
  const more = random.shuffle(EXTRAS).slice(0, Math.max(0, kills - steps.length));
  let pack: Step[] = [];
  return () => {
    if (pack.length === 0) pack = random.shuffle([...steps, ...more]);
    return planFor(pack.pop() as Step, random);
  };
}

export function planFor(step: Step, random: Random): Plan {
  return { step, skip: random.below(3), delayMs: delayOf(step, random), isEarly: random.chance(0.25) };
}

const EXTRAS: readonly Step[] = [
  ...Array.from({ length: 7 }, (): Step => ({ kind: 'random' })),
  ...Array.from({ length: 5 }, (): Step => ({ kind: 'disk' })),
  { kind: 'start-up' },
];

/** Windows inside the gateway are swept by time: a few milliseconds behind what can be seen from outside. */
function delayOf(step: Step, random: Random): number {
  switch (step.kind) {
    case 'random':
      return random.between(0, 1_500);
    case 'start-up':
      return random.between(100, 2_500);
    case 'disk':
      return random.chance(0.5) ? 0 : random.between(0, 4);
    case 'wire':
      return step.point === 'passed' ? random.between(0, 12) : 0;
    case 'tool':
      return random.between(0, 4);
    default:
      return 0;
  }
}
