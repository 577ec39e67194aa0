import { performance } from 'node:perf_hooks';
import { RemitError } from '../domain/errors.ts';
import { serveMetrics } from '../http/metrics-server.ts';
import { definitionFindings } from '../inventory/definition-findings.ts';
import type { Journal } from '../seams/journal.ts';
import type { Metrics, Readings, Telemetry } from '../seams/telemetry.ts';
import { createTelemetry } from '../telemetry/create-telemetry.ts';
import { timeAppends } from '../telemetry/time-appends.ts';
import { seenItems } from './connectors/seen-items.ts';
import { credentialFindings } from './credentials/credential-findings.ts';
import type { Workspace } from './workspace.ts';

/** What metrics read of a gateway that runs, besides the store. */
export type LiveReadings = Pick<
  Readings,
  'journalRecords' | 'journalBehind' | 'tasks' | 'sessions' | 'connections' | 'revocationsOutstanding' | 'risks'
> & {
  /** Rises when what is known of items changes: findings are looked for again then only. */
  readonly catalogueVersion: number;
};

export interface OpenTelemetry {
  /** Undefined: nothing is configured. */
  readonly telemetry: Telemetry | undefined;
  /** The journal, measured where metrics are on. */
  readonly measured: (journal: Journal) => Journal;
  /** Undefined: nobody counts. */
  readonly approval: Metrics['approval'] | undefined;
  /** Undefined: nobody counts. */
  readonly signal: Metrics['signal'] | undefined;
  /** Undefined: nobody counts. */
  readonly letThrough: Metrics['letThrough'] | undefined;
  /** Undefined: nobody counts. */
  readonly shadow: Metrics['shadow'] | undefined;
  /** From when on metrics can be read. */
  serve(live: () => LiveReadings): Promise<{ readonly metricsPort: number | undefined }>;
  close(): Promise<void>;
}

const RECENT_MS = 7 * 86_400_000;
const LEASE_STATES = ['intended', 'active', 'revoking', 'lapsing'] as const;

/** Opens what `telemetry` configures. Its libraries are loaded only where it does. @throws `ERR_SECRET_MISSING`, `ERR_CONFIG_INVALID` */
export async function openTelemetry(workspace: Workspace, version: string): Promise<OpenTelemetry> {
  const { config, system, store, estate, vault } = workspace;
  const { otlp, metrics: wanted } = config.telemetry;
  const { clock, log } = system;
  let live: (() => LiveReadings) | undefined;
  let findings: { readonly version: number; readonly counts: Record<string, number> } | undefined;

  const spans = otlp === undefined ? undefined : await openSpans(otlp);
  const metrics = wanted === undefined ? undefined : await openMetrics();
  const closers: (() => Promise<void>)[] = [];
  if (spans !== undefined) closers.push(() => spans.close());

  async function openSpans({ url, headers }: NonNullable<typeof otlp>) {
    const { createOtlpSpanSink } = await import('../adapters/telemetry/otlp-span-sink.ts');
    const revealed: Record<string, string> = {};
    for (const [name, secret] of Object.entries(headers)) revealed[name] = (await vault.get(secret)).reveal();
    return createOtlpSpanSink({ url, headers: revealed, version, clock, log });
  }

  async function openMetrics() {
    const { createPrometheusMetrics } = await import('../adapters/telemetry/prometheus-metrics.ts');
    return createPrometheusMetrics({ version, read });
  }

  async function read(): Promise<Readings> {
    if (live === undefined) throw new RemitError('ERR_INTERNAL', 'the gateway is not up yet');
    const { catalogueVersion, ...now } = live();
    const leases: Record<string, number> = Object.fromEntries(LEASE_STATES.map((state) => [state, 0]));
    for (const { state } of await store.leases.list(estate.tenant, { states: LEASE_STATES })) {
      leases[state] = (leases[state] ?? 0) + 1;
    }
    const items: Record<string, number> = { described: 0, undescribed: 0, quarantined: 0 };
    const seen = await seenItems(workspace);
    for (const { status } of seen) items[status] = (items[status] ?? 0) + 1;
    const itemsRecent: Record<string, number> = { described: 0, undescribed: 0, quarantined: 0 };
    for (const { status, firstSeenAt } of seen) {
      if (clock() - firstSeenAt < RECENT_MS) itemsRecent[status] = (itemsRecent[status] ?? 0) + 1;
    }
    const ages = seen.flatMap((item) => (item.status === 'undescribed' ? [clock() - item.firstSeenAt] : []));
    const undescribedOldest = Math.max(0, ...ages) / 1_000;
    if (findings?.version !== catalogueVersion) {
      const counts: Record<string, number> = { high: 0, medium: 0, low: 0 };
      const ofCredentials = [...estate.connectors.values()].flatMap((connector) =>
        credentialFindings(connector.config),
      );
      for (const { severity } of [...ofCredentials, ...definitionFindings(seen)]) {
        counts[severity] = (counts[severity] ?? 0) + 1;
      }
      findings = { version: catalogueVersion, counts };
    }
    return {
      ...now,
      leases,
      items,
      itemsRecent,
      undescribedOldest,
      findings: findings.counts,
      spansLost: spans?.lost ?? 0,
    };
  }

  return {
    telemetry: createTelemetry({ spans, metrics, log }),
    measured: (journal) =>
      metrics === undefined ? journal : timeAppends(journal, () => performance.now() / 1_000, metrics.appended),
    approval: metrics?.approval,
    signal: metrics?.signal,
    letThrough: metrics?.letThrough,
    shadow: metrics?.shadow,
    async serve(readings) {
      live = readings;
      if (metrics === undefined || wanted === undefined) return { metricsPort: undefined };
      const { port } = wanted;
      // Workers have one port each, one after the other.
      const own = port === 0 ? 0 : port + (workspace.worker?.number ?? 1) - 1;
      const server = await serveMetrics(own, metrics, log);
      closers.push(() => server.close());
      return { metricsPort: server.port };
    },
    async close() {
      await Promise.all(closers.splice(0).map((close) => close()));
    },
  };
}
