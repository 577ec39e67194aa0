import { connect } from 'node:net';
import type { Random } from '../../harness/random.ts';
import { type Namespace, openNamespace, run } from './namespace.ts';
import type { Network } from './network.ts';

/** Who is where. What can be cut from a node is an address or a range of them. */
const ALL = '10.77.0.0/16';
const AGENTS = '10.77.0.1';
const STORE = '10.77.0.2';
const DOWNSTREAMS = '10.77.0.64/26';
const DATABASE = '10.77.0.65';
const TOOLS = '10.77.0.66';
const NODES = '10.77.1.0/24';
/** The router, on each of its links. */
const ROUTER = '10.77.255.254';
const PORT = 7420;
const addressOf = (node: number): string => `10.77.1.${node + 1}`;

const WHOLE: Readonly<Record<string, string>> = {
  'cut from the store': STORE,
  'cut from the other nodes': NODES,
  'cut from its downstreams': DOWNSTREAMS,
  'cut from its agents': AGENTS,
  'cut off': ALL,
};
/** Of these one direction alone is lost. */
const HALF = 'one direction lost';
const HALVES = [STORE, NODES, DOWNSTREAMS, ALL];
const SLOW = 'slow and lossy';

/** Without an answer for so long, nothing came through: unhindered it takes far less than a millisecond. */
const SILENT_MS = 250;

/**
 * A network of namespaces: a router between this process (agents, tools, PostgreSQL, each at addresses of its own) and one namespace a gateway. A cut is a rule of the router's that
 * drops packets and tells nobody: no link goes down, no connection is reset. This process must be in a network namespace of its own (`enter-namespace.ts`).
 * @throws where that cannot be had, or does not lose what it should
 */
export async function openNamespaceNetwork(count: number): Promise<Network> {
  const namespaces: Namespace[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(namespaces.map((one) => one.close()));
  };
  try {
    const router = await openNamespace();
    namespaces.push(router);
    // Routes are not checked against the way back: one direction may be lost.
    for (const name of ['all/forwarding', 'default/rp_filter', 'all/rp_filter']) {
      await router.set(`net/ipv4/conf/${name}`, name.endsWith('forwarding') ? 1 : 0);
    }
    await run(['ip', 'link', 'set', 'lo', 'up']);
    await link(undefined, 'agents', [AGENTS, STORE, DATABASE, TOOLS], router);
    for (let node = 0; node < count; node++) {
      const own = await openNamespace();
      namespaces.push(own);
      await own.run(['ip', 'link', 'set', 'lo', 'up']);
      await link(own, `node${node}`, [addressOf(node)], router);
    }
    const slowly = await slowness(router, 'node0');
    let rules = 1_000;
    /** Each cut has rules of its own: two that overlap do not end each other. */
    const drop = async (ways: readonly (readonly [from: string, to: string])[]): Promise<() => Promise<void>> => {
      const own = ways.map(([from, to]) => ['pref', String(rules++), 'from', from, 'to', to, 'blackhole']);
      const all = (what: 'add' | 'del') => own.map((rule) => `rule ${what} ${rule.join(' ')}`);
      await router.batch(all('add'));
      return () => router.batch(all('del'));
    };
    const both = (node: number, whom: string) =>
      drop([
        [addressOf(node), whom],
        [whom, addressOf(node)],
      ]);
    await assertSilent(addressOf(0), drop);
    return {
      postgres: { addresses: [STORE, DATABASE], from: ALL },
      toolsHost: TOOLS,
      cuts: [...Object.keys(WHOLE), HALF, SLOW],
      async place(node, postgresPort) {
        return {
          within: (namespaces[node + 1] as Namespace).within,
          host: addressOf(node),
          port: PORT,
          address: `http://${addressOf(node)}:${PORT}`,
          store: { host: STORE, port: postgresPort },
          downstream: { host: DATABASE, port: postgresPort },
        };
      },
      async cut(node, how, random) {
        const whom = WHOLE[how];
        if (whom !== undefined) return await both(node, whom);
        if (how === HALF) return await drop([half(addressOf(node), random)]);
        await router.run(['tc', 'qdisc', 'replace', 'dev', `node${node}`, 'root', ...slowly]);
        return () => router.run(['tc', 'qdisc', 'del', 'dev', `node${node}`, 'root']);
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function half(node: string, random: Random): readonly [string, string] {
  const whom = random.pick(HALVES);
  return random.chance(0.5) ? [node, whom] : [whom, node];
}

/** A link between the router and a namespace, or this one, with addresses there. */
async function link(end: Namespace | undefined, name: string, addresses: readonly string[], router: Namespace) {
  const near = end ?? { run, pid: process.pid };
  await router.run(['ip', 'link', 'add', name, 'type', 'veth', 'peer', 'name', 'remit0', 'netns', String(near.pid)]);
  await router.batch([
    `address add ${ROUTER}/32 dev ${name}`,
    `link set ${name} up`,
    ...addresses.map((address) => `route add ${address}/32 dev ${name}`),
  ]);
  for (const address of addresses) await near.run(['ip', 'address', 'add', `${address}/32`, 'dev', 'remit0']);
  await near.run(['ip', 'link', 'set', 'remit0', 'up']);
  await near.run(['ip', 'route', 'add', ALL, 'via', ROUTER, 'dev', 'remit0', 'onlink', 'src', addresses[0] as string]);
}

/** How the way to a node is made slow: with what the kernel has. Without netem a queue that is slow and short, which loses what does not fit. */
async function slowness(router: Namespace, device: string): Promise<readonly string[]> {
  const netem = ['netem', 'delay', '80ms', '40ms', 'loss', '10%'];
  try {
    await router.run(['tc', 'qdisc', 'replace', 'dev', device, 'root', ...netem]);
    await router.run(['tc', 'qdisc', 'del', 'dev', device, 'root']);
    return netem;
  } catch {
    return ['tbf', 'rate', '96kbit', 'burst', '3000', 'limit', '6000'];
  }
}

/** A network that refuses where it should be silent, or lets through what it should lose, shows nothing. */
async function assertSilent(
  node: string,
  drop: (ways: readonly (readonly [string, string])[]) => Promise<() => Promise<void>>,
): Promise<void> {
  const expect = async (wanted: string, when: string): Promise<void> => {
    const found = await knock(node);
    if (found !== wanted) throw new Error(`${when} a connection ends as ${found}, where it should as ${wanted}`);
  };
  await expect('ECONNREFUSED', 'before anything is cut');
  for (const way of [
    [AGENTS, node],
    [node, AGENTS],
  ] as const) {
    const heal = await drop([way]);
    await expect('silence', `with nothing from ${way[0]} to ${way[1]}`);
    await heal();
  }
  await expect('ECONNREFUSED', 'after everything was healed');
}

const knock = (host: string): Promise<string> =>
  new Promise((resolve) => {
    const socket = connect({ host, port: PORT, timeout: SILENT_MS });
    const end = (how: string): void => {
      socket.destroy();
      resolve(how);
    };
    socket.once('connect', () => end('connected'));
    socket.once('timeout', () => end('silence'));
    socket.once('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
  });
