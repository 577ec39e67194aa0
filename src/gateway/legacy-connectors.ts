import type { ConnectorId, TaskId, ToolRef } from '../domain/ids.ts';
import type { TaskUsage } from '../domain/node.ts';
import type { GovernedTool } from '../domain/tool.ts';
import { type Denial, denial } from '../policy/denial.ts';
import { Pace, rememberPaces } from '../policy/pace.ts';
import type { Clock } from '../seams/clock.ts';
import type { Operation } from './operation.ts';

/**
 * Connectors whose credential is long-lived and shared: used under an exception alone, and only with controls that make up for what such a
 * credential lacks. The identity of the task is on every record anyway; here are the narrow list, the pace, and fuller records.
 */
export interface LegacyConnectors {
  /**
   * To be asked before each decision, again until there is nothing to wait for: where nodes share a pace and this one holds nothing of it, the store
   * is asked for more.
   */
  replenish(connector: ConnectorId): Promise<void> | undefined;
  /** Takes the operation's place in the pace of its connector and of its task there; or says what denies it. */
  admit(task: TaskId, operation: LegacyOperation): Denial | undefined;
  /**
   * What the record of a use says besides, as the text of a JSON member: whose exception, which secret, where it goes, what
   * for, which arguments (names, never values), how many calls in this minute. Undefined for a connector of another kind.
   */
  detailText(task: TaskId, operation: LegacyOperation): string | undefined;
  forgetTask(task: TaskId): void;
  /** Calls of a task that count, by connector; undefined: none. */
  usageOf(task: TaskId): TaskUsage | undefined;
  /** Goes on from there. */
  restore(task: TaskId, usage: TaskUsage): void;
}

export type LegacyOperation = Pick<Operation, 'item'> & Partial<Pick<Operation, 'method' | 'args'>>;

/** How fast all tasks together may go: `Pace`, or this node's part of what all nodes do. */
export interface WholePace {
  /** @param now milliseconds since the epoch */
  count(now: number): number;
  hasRoom(now: number): boolean;
  take(): void;
  /** Whether there is no room because it cannot be told how much there is. */
  readonly isUnknown?: boolean;
  /** Left out: there is never anything to wait for. */
  replenish?(): Promise<void> | undefined;
}

/** As configured. */
export interface LegacyControls {
  /** Refs of the items that it may be used for. */
  readonly tools: ReadonlySet<ToolRef>;
  readonly callsPerMinute: number;
  readonly callsPerMinutePerTask: number;
  readonly exception: { readonly owner: string; readonly expires: string };
  /** Name of the vault's secret. */
  readonly secret: string;
  /** Where it goes: `header Authorization`, `variable API_TOKEN`. */
  readonly injectedAs: readonly string[];
}

export function createLegacyConnectors(
  connectors: ReadonlyMap<ConnectorId, LegacyControls>,
  clock: Clock,
  paceOfAll: (connector: ConnectorId, perMinute: number) => WholePace = (_, perMinute) => new Pace(perMinute),
): LegacyConnectors {
  const paces = new Map(
    [...connectors].map(([id, { callsPerMinute }]) => [
      id,
      { all: paceOfAll(id, callsPerMinute), tasks: new Map<TaskId, Pace>() },
    ]),
  );

  function paceOf(connector: ConnectorId, task: TaskId): { all: WholePace; own: Pace } | undefined {
    const pace = paces.get(connector);
    const controls = connectors.get(connector);
    if (pace === undefined || controls === undefined) return undefined;
    let own = pace.tasks.get(task);
    if (own === undefined) {
      own = new Pace(controls.callsPerMinutePerTask);
      pace.tasks.set(task, own);
    }
    return { all: pace.all, own };
  }

  return {
    replenish: (connector) => paces.get(connector)?.all.replenish?.(),
    admit(task, { item }) {
      const controls = connectors.get(item.connector);
      const pace = paceOf(item.connector, task);
      if (controls === undefined || pace === undefined) return undefined;
      if (!controls.tools.has(item.ref)) {
        return denial(
          'profile',
          'remit:legacy-tool',
          `${item.ref} is not among what the exception for its credential names.`,
          'Use another tool, or ask the owner of the exception.',
        );
      }
      const now = clock();
      const spent = !pace.own.hasRoom(now)
        ? `${controls.callsPerMinutePerTask} calls a minute for one task`
        : !pace.all.hasRoom(now)
          ? `${controls.callsPerMinute} calls a minute`
          : undefined;
      if (spent !== undefined) {
        const why = pace.all.isUnknown === true ? ' What others have made of it cannot be told now.' : '';
        return denial(
          'budget',
          'remit:rate',
          `${item.connector} has a shared credential, and a pace of ${spent}.${why}`,
          'Wait a minute, then call again.',
        );
      }
      pace.own.take();
      pace.all.take();
      return undefined;
    },
    detailText(task, operation) {
      const { item, args } = operation;
      const controls = connectors.get(item.connector);
      const pace = paceOf(item.connector, task);
      if (controls === undefined || pace === undefined) return undefined;
      const names = args === undefined ? '' : `,"arguments":${JSON.stringify(Object.keys(args).slice(0, MOST_NAMES))}`;
      const now = clock();
      const counts = `{"task":${pace.own.count(now)},"connector":${pace.all.count(now)}}`;
      return `"legacy":{${constantText(controls, operation)}${names},"callsInMinute":${counts}}`;
    },
    forgetTask(task) {
      for (const { tasks } of paces.values()) tasks.delete(task);
    },
    usageOf(task) {
      const own: [string, Pace][] = [];
      for (const [connector, { tasks }] of paces) {
        const pace = tasks.get(task);
        if (pace !== undefined) own.push([connector, pace]);
      }
      const remembered = own.length === 0 ? undefined : rememberPaces(own, clock());
      return remembered && { paces: remembered };
    },
    restore(task, { paces: remembered = {} }) {
      for (const [connector, { tasks }] of paces) {
        tasks.delete(task);
        const one = Object.hasOwn(remembered, connector) ? remembered[connector] : undefined;
        if (one !== undefined) paceOf(connector, task)?.own.restore(one);
      }
    },
  };
}

/** Of arguments whose names are recorded; the call is refused long before their number is one to worry about. */
const MOST_NAMES = 64;

const constantTexts = new WeakMap<GovernedTool, Map<string, string>>();

/** What is the same at every call: once for an item and a method. */
function constantText(controls: LegacyControls, { item, method = '' }: LegacyOperation): string {
  const texts = constantTexts.get(item) ?? new Map<string, string>();
  constantTexts.set(item, texts);
  let text = texts.get(method);
  if (text === undefined) {
    const { exception, secret, injectedAs } = controls;
    const { actionClass, dataClasses } = item.profile ?? {};
    const members = {
      exception,
      secret,
      injectedAs,
      ...(method !== '' && { method }),
      class: actionClass,
      dataClasses,
    };
    text = JSON.stringify(members).slice(1, -1);
    texts.set(method, text);
  }
  return text;
}
