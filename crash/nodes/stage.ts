import { DATABASE, type Downstream, startPostgresDownstream } from '../downstream.ts';
import { type Cluster, makeCluster } from './cluster.ts';
import { type FakeEffects, startFakeEffects } from './fake-effects.ts';
import type { Network } from './network.ts';
import { type GoneOnWith, readOwnTrail } from './own-trail.ts';
import { awaitNobody, endEverything, type Watch, watchCredentials } from './watch-credentials.ts';

/** What several gateways are tried on: PostgreSQL, tools, the gateways, and who looks for credentials that should be gone. */
export interface Stage {
  readonly downstream: Downstream;
  readonly storeUrl: string;
  readonly tools: FakeEffects;
  readonly cluster: Cluster;
  readonly alive: Watch['alive'];
  /** Ends every task, waits until no credential is left, stops the gateways, and reads what each wrote down. */
  settle(): Promise<{ readonly findings: string[]; readonly adopted: readonly GoneOnWith[] }>;
  /** Whatever came before. */
  close(): Promise<void>;
}

export async function openStage(parts: {
  readonly count: number;
  readonly database: string;
  readonly network: Network;
  /** Of which version the gateways are; left out: this one's. */
  readonly program?: string;
}): Promise<Stage> {
  const { database, network, ...rest } = parts;
  const closers: (() => Promise<unknown>)[] = [() => network.close()];
  const close = async (): Promise<void> => {
    for (const closer of closers.splice(0).reverse()) await closer().catch(() => {});
  };
  try {
    const downstream = await startPostgresDownstream(network.postgres);
    closers.push(() => downstream.stop());
    const storeUrl = await downstream.makeDatabase(database);
    const tools = await startFakeEffects({ port: downstream.port, database: DATABASE }, network.toolsHost);
    closers.push(() => tools.close());
    const cluster = await makeCluster({ ...rest, network, postgres: downstream, storeUrl, toolsUrl: tools.url });
    let isOver = false;
    const watch = watchCredentials(downstream, storeUrl, () => isOver);
    const endWatch = async (): Promise<void> => {
      isOver = true;
      await watch.over;
    };
    closers.push(endWatch, () => cluster.close());
    return {
      downstream,
      storeUrl,
      tools,
      cluster,
      alive: watch.alive,
      async settle() {
        const findings: string[] = [];
        const adopted: GoneOnWith[] = [];
        await endEverything(cluster);
        await awaitNobody(downstream, watch.alive);
        await endWatch();
        for (const node of cluster.nodes) {
          const code = await node.process.stop();
          if (code !== 0) findings.push(`${node.name} ended with ${code} when it was asked to`);
          const trail = await readOwnTrail(node.data, node.name);
          findings.push(...trail.findings);
          adopted.push(...trail.adopted);
        }
        return { findings, adopted };
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
