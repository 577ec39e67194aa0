import type { Random } from '../../harness/random.ts';
import type { Cluster, ClusterNode } from './cluster.ts';
import type { Network } from './network.ts';

const KILL = 'kill −9';
const STOP = 'SIGSTOP';
/** From all but its agents: those are told that it stops. */
const ENDS_WITHOUT = ['cut from the store', 'cut from the other nodes', 'cut from its downstreams'];
const END = 'SIGTERM while cut off';

/** What can be done to a node there. */
export const faultsOf = ({ cuts }: Pick<Network, 'cuts'>): readonly string[] => [
  KILL,
  STOP,
  ...cuts,
  ...(ENDS_WITHOUT.every((cut) => cuts.includes(cut)) ? [END] : []),
];

/** So long may a node take that is asked to stop, whatever it can reach: what our manifests give it before they kill it. */
const ENDS_WITHIN_MS = 90_000;

/** Nodes that something is the matter with at a time: one is left alone. */
const LEFT_ALONE = 1;

/** Does one thing after another to the nodes, each kind as often as the others, until so many are done; then all of them serve again. */
export async function runFaults(parts: {
  readonly cluster: Cluster;
  readonly network: Network;
  readonly random: Random;
  readonly wanted: number;
  readonly done: Map<string, number>;
  readonly findings: string[];
  readonly say: (text: string) => void;
}): Promise<void> {
  const { cluster, network, random, wanted, done, findings, say } = parts;
  const busy = new Set<ClusterNode>();
  let deck: string[] = [];
  let dealt = 0;

  function next(): string {
    if (deck.length === 0) deck = random.shuffle(faultsOf(network));
    return deck.pop() as string;
  }

  async function harm(node: ClusterNode, fault: string): Promise<void> {
    // Some are over before anybody notices, some outlast the node's time among the others.
    const ms = random.chance(0.25) ? random.between(4_000, 7_000) : random.between(50, 1_500);
    if (fault === KILL) {
      node.process.kill();
      await node.process.exited;
      await pause(random.chance(0.5) ? 0 : ms);
      await node.start().serving;
    } else if (fault === STOP) {
      process.kill(node.process.pid, 'SIGSTOP');
      await pause(ms);
      process.kill(node.process.pid, 'SIGCONT');
    } else if (fault === END) {
      const cuts = await Promise.all(ENDS_WITHOUT.map((cut) => network.cut(node.index, cut, random)));
      const heal = () => Promise.all(cuts.splice(0).map((one) => one()));
      const ended = node.process.stop().then(() => 'ended');
      // Most are healed while they stop, some are not.
      const heals = random.chance(0.9);
      if (heals) await Promise.race([ended, pause(ms)]);
      if (heals) await heal();
      if ((await Promise.race([ended, pause(ENDS_WITHIN_MS)])) !== 'ended') {
        findings.push(`${node.name}, cut off and asked to stop, had not after ${ENDS_WITHIN_MS / 1000} s`);
        node.process.kill();
        await node.process.exited;
      }
      await heal();
      await node.start().serving;
    } else {
      const heal = await network.cut(node.index, fault, random);
      await pause(ms);
      await heal();
    }
  }

  async function lane(): Promise<void> {
    while (dealt < wanted) {
      dealt += 1;
      await pause(random.between(20, 300));
      const node = random.pick(cluster.nodes.filter((one) => !busy.has(one)));
      busy.add(node);
      const fault = next();
      say(`${node.name}: ${fault}`);
      const from = performance.now();
      await harm(node, fault);
      say(`${node.name}: ${fault}, over after ${Math.round(performance.now() - from)} ms`);
      if (node.process.hasExited()) {
        // It may end itself: of that it says why.
        say(`${node.name} has ended:\n${node.process.log().slice(-2_000)}`);
        await node.start().serving;
      }
      busy.delete(node);
      done.set(fault, (done.get(fault) ?? 0) + 1);
    }
  }

  await Promise.all(Array.from({ length: cluster.nodes.length - LEFT_ALONE }, lane));
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
