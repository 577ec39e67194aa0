import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../harness/random.ts';
import { type FlowLabels, joinLabels, joinRemembered, NO_LABELS, TRUSTS } from '../../src/domain/flow.ts';
import type { Task } from '../../src/domain/task.ts';
import { createFlow } from '../../src/flow/create-flow.ts';
import { nothingKept } from '../support/fake-gateway-parts.ts';
import { newFlow, taskOf, tool, untrusted } from './office.ts';

/** The lattice, once more and otherwise: a set of everything that was ever joined. */
class ReferenceLabels {
  readonly #seen = new Set<string>();
  join(labels: FlowLabels): void {
    for (const step of TRUSTS.slice(0, TRUSTS.indexOf(labels.trust) + 1)) this.#seen.add(`trust ${step}`);
    for (const one of labels.dataClasses) this.#seen.add(`data ${one}`);
    for (const one of labels.zones) this.#seen.add(`zone ${one}`);
  }
  get labels(): FlowLabels {
    const of = (kind: string) =>
      [...this.#seen]
        .filter((one) => one.startsWith(kind))
        .map((one) => one.slice(kind.length))
        .sort();
    return {
      trust: TRUSTS.findLast((step) => this.#seen.has(`trust ${step}`)) ?? 'trusted',
      dataClasses: of('data '),
      zones: of('zone '),
    };
  }
}

const random = seededRandom(5);
const some = (from: readonly string[]): string[] => from.filter(() => random.chance(0.4)).sort();
const labels = (): FlowLabels => ({
  trust: random.pick(TRUSTS),
  dataClasses: some(['personal', 'financial', 'secret', 'internal']),
  zones: some(['internal', 'dmz', 'secure']),
});

describe('labels', () => {
  it('are a lattice: joining is idempotent, commutative, associative, and never loses anything', () => {
    for (let round = 0; round < 2_000; round += 1) {
      const [a, b, c] = [labels(), labels(), labels()];
      expect(joinLabels(a, a)).toBe(a);
      expect(joinLabels(NO_LABELS, a)).toEqual(a);
      expect(joinLabels(a, b)).toEqual(joinLabels(b, a));
      expect(joinLabels(joinLabels(a, b), c)).toEqual(joinLabels(a, joinLabels(b, c)));
      // An upper bound: joining either once more changes nothing.
      expect(joinLabels(joinLabels(a, b), b)).toEqual(joinLabels(a, b));
    }
  });

  it('that are remembered are the same object until something is worse: whoever compares need not look inside', () => {
    for (let round = 0; round < 500; round += 1) {
      const known = { labels: labels(), outward: 2 };
      const said = { labels: labels(), outward: random.pick([0, 2, 3]) };
      const joined = joinRemembered(known, said);
      expect(joined).toEqual({
        labels: joinLabels(known.labels, said.labels),
        outward: Math.max(known.outward, said.outward),
      });
      expect(joined === known).toBe(joinLabels(known.labels, said.labels) === known.labels && said.outward <= 2);
      expect(joinRemembered(joined, said)).toBe(joined);
    }
    expect(joinRemembered(undefined, { labels: NO_LABELS, outward: 0 })).toEqual({ labels: NO_LABELS, outward: 0 });
  });

  it('of random families equal a reference that remembers every read, in whatever order parents and children read', () => {
    for (let round = 0; round < 200; round += 1) {
      const tasks: Task[] = [];
      for (let index = 0; index < 6; index += 1) {
        const parent = index > 0 && random.chance(0.7) ? random.pick(tasks) : undefined;
        tasks.push(taskOf(`tsk_${round}_${index}`, parent));
      }
      const topOf = (task: Task): Task => {
        const above = tasks.find(({ id }) => id === task.parent);
        return above === undefined ? task : topOf(above);
      };
      const flow = newFlow(tasks);
      const references = new Map(tasks.map((task) => [topOf(task).id, new ReferenceLabels()]));
      for (let step = 0; step < 30; step += 1) {
        const task = random.pick(tasks);
        const own = labels();
        const zone = random.pick(['internal', 'secure']);
        const item = tool(
          'read',
          { source: { ...untrusted, trust: own.trust } },
          { dataClasses: [...own.dataClasses], connector: zone === 'secure' ? 'vault' : 'office' },
        );
        const reference = references.get(topOf(task).id) as ReferenceLabels;
        const question = { task, template: undefined, item, args: {} };
        expect(flow.judge(question).facts.labels).toEqual(reference.labels);
        reference.join({ ...own, zones: [zone] });
        expect(flow.admit(question, []).said.labels).toEqual(reference.labels);
      }
    }
  });

  it('of a grandchild that is seen first are its grandparent’s', () => {
    const top = taskOf('tsk_top');
    const child = taskOf('tsk_child', top);
    const grandchild = taskOf('tsk_grandchild', child);
    const flow = newFlow([top, child, grandchild]);
    const item = tool('read', { source: untrusted });
    flow.admit({ task: grandchild, template: undefined, item, args: {} }, []);
    for (const task of [top, child]) {
      expect(flow.judge({ task, template: undefined, item, args: {} }).facts.labels.trust).toBe('untrusted');
    }
  });

  it('outlive a child, and go with the family’s top', () => {
    const top = taskOf('tsk_top');
    const child = taskOf('tsk_child', top);
    const flow = newFlow([top, child]);
    const item = tool('read', { source: untrusted });
    const read = (task: Task) => flow.judge({ task, template: undefined, item, args: {} }).facts.labels.trust;
    flow.admit({ task: child, template: undefined, item, args: {} }, []);
    flow.forget(child.id);
    expect(read(top)).toBe('untrusted');
    flow.forget(top.id);
    expect(flow.size).toBe(0);
  });

  it('are not lost to a ring of parents', () => {
    const flow = createFlow({ zoneOf: () => 'internal', parentOf: (id) => id, ...nothingKept() });
    const task = taskOf('tsk_a', taskOf('tsk_b'));
    expect(
      flow.judge({ task, template: undefined, item: tool('read', { source: untrusted }), args: {} }).hold,
    ).toBeUndefined();
  });
});
