import type { Random } from '../../harness/random.ts';
import type { Cluster, ClusterNode } from './cluster.ts';

/** What is done to a node. */
export const FAULTS = ['kill −9', 'SIGSTOP', 'cut from the store', 'cut from the other nodes'] as const;
export type Fault = (typeof FAULTS)[number];

/** Nodes that something is the matter with at a time: one is left alone. */
const LEFT_ALONE = 1;

/** Does one thing after another to the nodes, until so many are done; then all of them serve again. */
export async function runFaults(
  cluster: Cluster,
  random: Random,
  wanted: number,
  done: Map<Fault, number>,
  say: (text: string) => void,
): Promise<void> {
  const busy = new Set<ClusterNode>();
  let dealt = 0;

  async function harm(node: ClusterNode, fault: Fault): Promise<void> {
    // Some are over before anybody notices, some outlast the node's time among the others.
    const ms = random.chance(0.25) ? random.between(4_000, 7_000) : random.between(50, 1_500);
    switch (fault) {
      case 'kill −9':
        node.process.kill();
        await node.process.exited;
        await pause(random.chance(0.5) ? 0 : ms);
        await node.start().serving;
        return;
      case 'SIGSTOP':
        process.kill(node.process.pid, 'SIGSTOP');
        await pause(ms);
        process.kill(node.process.pid, 'SIGCONT');
        return;
      case 'cut from the store':
        node.storeWay.cut();
        await pause(ms);
        node.storeWay.heal();
        return;
      case 'cut from the other nodes':
        node.peerWay.cut();
        await pause(ms);
        node.peerWay.heal();
    }
  }

  async function lane(): Promise<void> {
    while (dealt < wanted) {
      dealt += 1;
      await pause(random.between(20, 300));
      const node = random.pick(cluster.nodes.filter((one) => !busy.has(one)));
      busy.add(node);
      const fault = random.pick(FAULTS);
      say(`${node.name}: ${fault}`);
      await harm(node, fault);
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
