import { freePort } from '../../harness/service.ts';
import { type CutProxy, startCutProxy } from './cut-proxy.ts';
import type { Network } from './network.ts';

const LOOPBACK = '127.0.0.1';
const FROM_STORE = 'cut from the store';
const FROM_NODES = 'cut from the other nodes';

/** Everything on loopback, behind proxies that can hold back what comes: what there is where a host gives no namespaces. Weaker: no packet is lost. */
export function openProxyNetwork(): Network {
  const ways = new Map<number, { readonly store: CutProxy; readonly peers: CutProxy }>();
  return {
    postgres: undefined,
    toolsHost: LOOPBACK,
    cuts: [FROM_STORE, FROM_NODES],
    async place(node, postgresPort) {
      const port = await freePort();
      const store = await startCutProxy(() => postgresPort);
      const peers = await startCutProxy(() => port);
      ways.set(node, { store, peers });
      return {
        within: [],
        host: LOOPBACK,
        port,
        address: `http://${LOOPBACK}:${peers.port}`,
        store: { host: LOOPBACK, port: store.port },
        downstream: { host: LOOPBACK, port: postgresPort },
      };
    },
    async cut(node, how) {
      const way = how === FROM_STORE ? ways.get(node)?.store : ways.get(node)?.peers;
      way?.cut();
      return async () => way?.heal();
    },
    async close() {
      await Promise.all([...ways.values()].flatMap(({ store, peers }) => [store.close(), peers.close()]));
    },
  };
}
