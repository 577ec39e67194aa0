import type { ConnectorId, TaskId, ToolRef } from '../domain/ids.ts';
import type { GovernedTool } from '../domain/tool.ts';
import { type Denial, denial } from '../policy/denial.ts';
import { Pace } from '../policy/pace.ts';
import type { Clock } from '../seams/clock.ts';
import type { Operation } from './operation.ts';

/**
 * Connectors whose credential is long-lived and shared: used under an exception alone, and only with controls that make up for what such a
 * credential lacks. The identity of the task is on every record anyway; here are the narrow list, the pace, and fuller records.
 */
export interface LegacyConnectors {
  /** Takes the operation's place in the pace of its connector and of its task there; or says what denies it. */
  admit(task: TaskId, operation: LegacyOperation): Denial | undefined;
  /**
   * What the record of a use says besides, as the text of a JSON member: whose exception, which secret, where it goes, what
   * for, which arguments (names, never values), how many calls in this minute. Undefined for a connector of another kind.
   */
  detailText(task: TaskId, operation: LegacyOperation): string | undefined;
  forgetTask(task: TaskId): void;
}

export type LegacyOperation = Pick<Operation, 'item'> & Partial<Pick<Operation, 'method' | 'args'>>;

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
): LegacyConnectors {
  const paces = new Map(
    [...connectors].map(([id, { callsPerMinute }]) => [
      id,
      { all: new Pace(callsPerMinute), tasks: new Map<TaskId, Pace>() },
    ]),
  );

  function paceOf(connector: ConnectorId, task: TaskId): { all: Pace; own: Pace } | undefined {
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
        return denial(
          'budget',
          'remit:rate',
          `${item.connector} has a shared credential, and a pace of ${spent}.`,
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
