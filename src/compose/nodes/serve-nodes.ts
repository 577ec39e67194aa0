import { createNodeLink, type NodeLink } from '../../adapters/nodes/pass-on.ts';
import { messageOf } from '../../domain/errors.ts';
import type { TaskId } from '../../domain/ids.ts';
import { type Refusal, type Refused, refuse } from '../../domain/refusal.ts';
import type { Gateway } from '../../gateway/gateway.ts';
import { createRelay, MISDIRECTED, RELAYED, type Relay } from '../../http/relay.ts';
import type { HttpServer } from '../../http/server.ts';
import type { TaskRegistry } from '../../tasks/task-registry.ts';
import { hostText } from '../addresses.ts';
import { challengeOf, MAX_BODY_BYTES } from '../build-endpoint.ts';
import type { RevocationControl } from '../revocation/build-revocation.ts';
import type { Workspace } from '../workspace.ts';
import type { Adoption } from './adopt-tasks.ts';
import type { Nodes } from './build-nodes.ts';
import { notActing } from './not-acting.ts';

type GatewayTasks = Gateway['tasks'];

/** The tasks of a gateway: while it knows what has been revoked, and, among several nodes, may act as their owner. */
export function servedTasks(
  tasks: TaskRegistry,
  revocation: RevocationControl,
  nodes: Nodes | undefined,
  adoption: Pick<Adoption, 'hasMoved'>,
): GatewayTasks {
  const alone: GatewayTasks = {
    get: (id) => (revocation.isCurrent() ? tasks.get(id) : undefined),
    barred: revocation.barred,
    confirm: revocation.confirm,
    callsLeft: tasks.callsLeft,
    takeCall: (id) => 'callsLeft' in tasks.takeCall(id),
    end: tasks.end,
  };
  if (nodes === undefined) return alone;
  return {
    ...alone,
    get: (id) => (nodes.isMember() && revocation.isCurrent() ? tasks.get(id) : undefined),
    barred(id) {
      if (!nodes.isMember()) return notActing(nodes);
      return revocation.barred(id) ?? (adoption.hasMoved(id) ? MOVED : undefined);
    },
    async confirm() {
      const [isMember, isCurrent] = await Promise.all([nodes.confirm(), revocation.confirm()]);
      return isMember || isCurrent;
    },
  };
}

/** Why this node should be sent nothing: it would deny everything. */
export function unready(
  revocation: Pick<RevocationControl, 'isCurrent'>,
  nodes: Nodes | undefined,
): string | undefined {
  if (nodes?.isMember() === false) return nodes.clockFault() ?? 'not a member of the nodes';
  return revocation.isCurrent() ? undefined : 'the revocation log cannot be read';
}

/** What a call leaves behind is where the others find it before it goes on. */
export function sharedMemory(nodes: Nodes | undefined, adoption: Adoption, workspace: Workspace): Gateway['memory'] {
  if (nodes === undefined) return undefined;
  const { log } = workspace.system;

  /** A family moves whole: what stayed of it would go on with a budget and labels that are counted elsewhere. */
  async function letGo(among: Nodes, task: TaskId): Promise<void> {
    const moved = among.moved(task);
    await Promise.all([
      adoption.drop(task),
      moved.then((ids) => Promise.all(ids.filter((id) => id !== task).map(adoption.drop))),
    ]);
  }

  async function wait(among: Nodes, task: TaskId, keeping: Promise<boolean>): Promise<Refused | undefined> {
    try {
      if (await keeping) return undefined;
    } catch (error) {
      return refuse(unavailable(messageOf(error)));
    }
    log.warn({ task }, 'a task is another node’s by now: its call is refused');
    void letGo(among, task).catch((error: unknown) =>
      log.error({ task, error: messageOf(error) }, 'a task could not be let go of'),
    );
    return refuse(MOVED);
  }

  return {
    keep(task) {
      const keeping = nodes.ledger.keep(task);
      return keeping === true ? undefined : wait(nodes, task, keeping);
    },
    confirm: () => (nodes.isMember() ? undefined : refuse(notActing(nodes))),
  };
}

const unavailable = (reason: string): Refusal => ({
  kind: 'unavailable',
  code: 'ERR_STORE_UNREACHABLE',
  reason,
  nextStep: 'Nothing was sent. Try again.',
  isForwarded: false,
});

const MOVED = unavailable('another gateway goes on with this task by now');

/** How requests are passed on to other nodes; undefined where there are none. */
export const openLink = (nodes: Nodes | undefined, url: string): NodeLink | undefined =>
  nodes && createNodeLink(RELAYED, new URL(url).host, MISDIRECTED);

/** Requests about tasks of other nodes go there. */
export function openRelay(parts: {
  workspace: Workspace;
  nodes: Nodes | undefined;
  link: NodeLink | undefined;
  authenticator: Gateway['authenticator'];
  /** URL of the MCP endpoint. */
  resource: string;
  http: HttpServer;
  closers: (() => unknown)[];
}): Relay | undefined {
  const { workspace, nodes, link, resource, http } = parts;
  if (nodes === undefined || link === undefined) return undefined;
  const { monotonic, schedule } = workspace.system;
  const { placement, ledger } = nodes;
  const relay = createRelay({
    authenticator: parts.authenticator,
    isHere: (task) => ledger.has(task),
    locate: placement.locate,
    misplaced: placement.misplaced,
    passOn: link.passOn,
    ownAddress: `http://${hostText(http.host)}:${http.port}`,
    challenge: challengeOf(resource),
    maxBodyBytes: MAX_BODY_BYTES,
    monotonic,
    schedule,
  });
  // Before the port is closed: a connection that is closed under a request tells nobody whether it was heard.
  parts.closers.push(async () => {
    relay.retire();
    http.retire();
    await nodes.retire();
  });
  return relay;
}
