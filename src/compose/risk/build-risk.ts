import { createHmac, hkdfSync } from 'node:crypto';
import type { RecordEntry, Recorder } from '../../audit/recorder.ts';
import type { TrailState } from '../../audit/trail-state.ts';
import { messageOf } from '../../domain/errors.ts';
import type { ConnectorId } from '../../domain/ids.ts';
import { userKey } from '../../domain/principal.ts';
import { type RevocationSubject, RISK, type Standing } from '../../domain/revocation.ts';
import { RISK_LEVELS, type RiskSubject, readRiskKey } from '../../domain/risk.ts';
import type { Gateway } from '../../gateway/gateway.ts';
import type { SecurityEvents } from '../../http/security-events.ts';
import type { Catalogue } from '../../inventory/catalogue.ts';
import { inspectDefinition } from '../../inventory/inspect-definition.ts';
import type { RevocationOrder } from '../../revocation/revoke.ts';
import { createConsequences } from '../../risk/consequences.ts';
import { createRisk } from '../../risk/create-risk.ts';
import { createHistory, type Use } from '../../risk/history.ts';
import { createOffHours } from '../../risk/hours.ts';
import { Scores } from '../../risk/scores.ts';
import { createSharedScores, type SharedScores } from '../../risk/shared-scores.ts';
import { createCallWatch } from '../../risk/watch-calls.ts';
import { watchConnectors } from '../../risk/watch-connectors.ts';
import type { TaskRegistry } from '../../tasks/task-registry.ts';
import type { OpenTelemetry } from '../open-telemetry.ts';
import type { Workspace } from '../workspace.ts';
import { buildSecurityEvents } from './build-security-events.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
/** What is in the store of what was done first is read by the clocks of those who did it, and a while back. */
const CLOCKS_APART_MS = 60_000;

export type BuiltRisk = NonNullable<Gateway['risk']> & {
  /** Undefined where nobody may push events. */
  readonly securityEvents: SecurityEvents | undefined;
  /** A connector's items have been listed. */
  lookAt(connector: ConnectorId): void;
  /** Subjects above the lowest level, by level. */
  counts(): Readonly<Record<string, number>>;
  /** Takes over what the trail knew at the last start. */
  restore(state: Pick<TrailState, 'risks'>): void;
  /** Among several nodes: says what was learnt here, and learns what the others have. @throws `ERR_STORE_*` */
  exchange(): Promise<void>;
  /** A person has looked; on the trail already. For all nodes. @throws `ERR_STORE_*` */
  clear(subject: RiskSubject): Promise<void>;
};

/** Risk over the trail, the revocation log and the history in the store. */
export async function buildRisk(parts: {
  workspace: Workspace;
  tasks: TaskRegistry;
  standing: Standing;
  recorder: Recorder;
  recordLater: (entry: RecordEntry) => void;
  observed: Pick<OpenTelemetry, 'signal'>;
  recordRefusal: SecurityEvents['recordRefusal'];
  /** Not there yet while the gateway is put together. */
  order: (order: RevocationOrder) => Promise<unknown>;
  catalogue: () => Pick<Catalogue, 'tools' | 'prompts'>;
}): Promise<BuiltRisk> {
  const { workspace, tasks, standing, recorder, recordLater, observed, recordRefusal, order, catalogue } = parts;
  const { config, estate, store, system } = workspace;
  const { clock, log } = system;
  const { tenant } = estate;
  const { risk: settings } = config;

  const weights = { ...settings.points, external: 0 };
  const subjectsOf = ({ kind, id }: RiskSubject): readonly RevocationSubject[] =>
    kind === 'user'
      ? tasks
          .live()
          .flatMap(({ id: task, user }) =>
            user !== undefined && userKey(user) === id ? [{ kind: 'task', id: task }] : [],
          )
      : [{ kind, id }];
  const consequences = createConsequences({
    rules: settings,
    order: (action, subject, reason) =>
      Promise.all(subjectsOf(subject).map((one) => order({ action, subject: one, by: RISK, reason }))),
    heldBy({ kind, id }) {
      const action = kind === 'user' ? undefined : standing.on(kind, id)?.action;
      return action === 'resume' ? undefined : action;
    },
    log,
  });
  const scores = new Scores({ halfLifeMs: settings.halfLifeMinutes * MINUTE_MS, bounds: settings.levels });
  const shared: SharedScores | undefined =
    store.shared &&
    createSharedScores({
      tenant,
      repository: store.shared.risks,
      scores,
      halfLifeMs: settings.halfLifeMinutes * MINUTE_MS,
      clock,
      monotonic: system.monotonic,
      log,
      follow: (subject) => risk.follow(subject),
      onCleared: (subject) => void risk.clear(subject),
    });
  const risk = createRisk({
    scores,
    shared,
    consequences,
    weights,
    record: (entry) => recorder.record(entry),
    recordLater,
    count: observed.signal ?? (() => {}),
    clock,
  });

  let readUpTo = clock();
  const known = (await store.riskHistory.list(tenant)) as (Use & { tenant: typeof tenant })[];
  const history = createHistory(known, (use) => {
    store.riskHistory
      .add({ tenant, ...use })
      .catch((error: unknown) =>
        log.warn(
          { error: messageOf(error) },
          'what was done for the first time could not be kept: it will be new once more',
        ),
      );
  });
  const digestKey = Buffer.from(hkdfSync('sha256', await workspace.stateKey(), '', 'remit risk', 32));
  const hours = new Map(
    Object.entries(config.agents).flatMap(([id, agent]) =>
      agent.hours === undefined ? [] : [[id as string, createOffHours(agent.hours)] as const],
    ),
  );
  const calls = createCallWatch({
    risk,
    weights,
    burst: { count: settings.denials.count, windowMs: settings.denials.windowSeconds * 1_000 },
    history,
    learnMs: settings.learnHours * HOUR_MS,
    digest: (text) => createHmac('sha256', digestKey).update(text).digest('base64url'),
    offHoursOf: (agent) => hours.get(agent),
    clock,
  });
  const listed = watchConnectors({ risk, history, clock });

  tasks.onEnd(({ id }) => {
    risk.forgetTask(id);
    calls.forgetTask(id);
  });
  return {
    levels: risk,
    calls,
    securityEvents: await buildSecurityEvents(workspace, risk, recordRefusal),
    lookAt(connector) {
      const { tools, prompts } = catalogue();
      const own = [...tools(), ...prompts()].filter((item) => item.connector === connector);
      listed(
        connector,
        own.map(({ ref, definition, status }) => ({
          ref,
          fingerprint: definition.fingerprint,
          isChanged: status === 'quarantined',
          flags: [...new Set(inspectDefinition(definition.raw).flatMap(({ kind }) => (GRAVE.has(kind) ? [kind] : [])))],
        })),
      );
    },
    counts() {
      const counts: Record<string, number> = Object.fromEntries(ABOVE.map((level) => [level, 0]));
      for (const { level } of risk.list()) if (level !== 'low') counts[level] = (counts[level] ?? 0) + 1;
      return counts;
    },
    restore({ risks }) {
      for (const [key, score] of risks) {
        const subject = readRiskKey(key);
        if (subject === undefined) continue;
        risk.restore(subject, score);
        shared?.restore(subject, score);
      }
    },
    async exchange() {
      await shared?.exchange();
      const since = readUpTo - CLOCKS_APART_MS;
      readUpTo = clock();
      history.learn((await store.riskHistory.list(tenant, since)) as readonly (Use & { tenant: typeof tenant })[]);
    },
    async clear(subject) {
      await shared?.clear(subject);
      risk.clear(subject);
    },
  };
}

const ABOVE = RISK_LEVELS.filter((level) => level !== 'low');

/** What no honest server does. */
const GRAVE: ReadonlySet<string> = new Set(['hidden_characters', 'too_deep', 'too_large']);
