import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Metrics, ObservedCall, Readings } from '../../seams/telemetry.ts';

/** Values of one label at most; what comes later counts as `other`. */
const MOST_VALUES = 200;
const OTHER = 'other';
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const APPEND_SECONDS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1];

/**
 * Metrics in the format that Prometheus reads. Counters are counted as calls end, gauges are read when somebody asks. No label holds what a
 * client or a server chose: connectors are configured, the rest are closed lists.
 */
export function createPrometheusMetrics(options: { version: string; read: () => Promise<Readings> }): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const connectors = new Set<string>();

  const calls = new Counter({
    name: 'remit_calls_total',
    help: 'Decisions on calls, by verdict and the gate that refused.',
    labelNames: ['connector', 'verdict', 'gate'],
    registers,
  });
  const outcomes = new Counter({
    name: 'remit_call_outcomes_total',
    help: 'Permitted calls by what came of them.',
    labelNames: ['connector', 'status'],
    registers,
  });
  const duration = new Histogram({
    name: 'remit_call_duration_seconds',
    help: 'Permitted calls, from the decision to the end of the reply.',
    labelNames: ['connector'],
    buckets: SECONDS,
    registers,
  });
  const append = new Histogram({
    name: 'remit_journal_append_seconds',
    help: 'Until a record that something waited for was durable.',
    buckets: APPEND_SECONDS,
    registers,
  });
  const approvals = new Counter({
    name: 'remit_approvals_total',
    help: 'Approvals by what became of them; requested is how often people were asked.',
    labelNames: ['event'],
    registers,
  });
  const decided = new Histogram({
    name: 'remit_approval_decision_seconds',
    help: 'From the request of an approval to its verdict.',
    buckets: [5, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600],
    registers,
  });
  const tasksEnded = new Counter({
    name: 'remit_tasks_ended_total',
    help: 'Tasks that have ended, by why; with remit_approvals_total it says how often a task asks people.',
    labelNames: ['reason'],
    registers,
  });
  const signals = new Counter({
    name: 'remit_risk_signals_total',
    help: 'Signals that moved a risk, by kind.',
    labelNames: ['kind'],
    registers,
  });
  const observedCalls = new Counter({
    name: 'remit_observed_calls_total',
    help: 'Calls that policies denied and that were let through, as these are only observed; by what is observed.',
    labelNames: ['of', 'id'],
    registers,
  });
  const shadowed = new Counter({
    name: 'remit_shadow_decisions_total',
    help: 'Calls of which shadow policies were asked, by whether they decide the same.',
    labelNames: ['result'],
    registers,
  });
  const gauge = (name: string, help: string, label?: string) =>
    new Gauge({ name, help, registers, ...(label !== undefined && { labelNames: [label] }) });
  const single = {
    journalRecords: gauge('remit_journal_records', 'Records in the journal.'),
    tasks: gauge('remit_tasks_active', 'Active tasks.'),
    sessions: gauge('remit_sessions', 'Sessions of legacy clients.'),
    connections: gauge('remit_connections', 'Connections to connectors.'),
    revocationsOutstanding: gauge('remit_revocations_outstanding', 'Revocations that no downstream has confirmed yet.'),
    undescribedOldest: gauge(
      'remit_undescribed_oldest_seconds',
      'Since the oldest tool or prompt that nobody has described was first seen.',
    ),
    spansLost: gauge('remit_spans_lost', 'Spans that the collector did not take.'),
  };
  const labelled = {
    journalBehind: {
      label: 'to',
      gauge: gauge('remit_journal_behind_records', 'Records that are not yet where they are copied to.', 'to'),
    },
    leases: { label: 'state', gauge: gauge('remit_leases', 'Leases that have not ended, by state.', 'state') },
    items: {
      label: 'status',
      gauge: gauge('remit_items', 'Tools and prompts that connectors have shown, by status.', 'status'),
    },
    itemsRecent: {
      label: 'status',
      gauge: gauge('remit_items_recent', 'The same of those first seen within the last seven days.', 'status'),
    },
    risks: {
      label: 'level',
      gauge: gauge(
        'remit_risk_subjects',
        'Tasks, connectors, agents and users above the lowest level of risk.',
        'level',
      ),
    },
    findings: {
      label: 'severity',
      gauge: gauge('remit_findings', 'What is wrong with definitions, by severity.', 'severity'),
    },
  };
  gauge('remit_info', 'Always 1.', 'version').set({ version: options.version }, 1);

  function connectorLabel({ item }: ObservedCall): string {
    if (item === undefined) return 'none';
    const { connector } = item;
    if (connectors.has(connector)) return connector;
    if (connectors.size >= MOST_VALUES) return OTHER;
    connectors.add(connector);
    return connector;
  }

  return {
    call(observed) {
      const connector = connectorLabel(observed);
      const { verdict, gate, status, startedAt, endedAt } = observed;
      calls.labels(connector, verdict, gate ?? 'none').inc();
      if (status === undefined) return;
      outcomes.labels(connector, status).inc();
      duration.labels(connector).observe(Math.max(0, endedAt - startedAt) / 1_000);
    },
    approval(event, seconds) {
      approvals.labels(event).inc();
      if (seconds !== undefined) decided.observe(seconds);
    },
    task: (reason) => tasksEnded.labels(reason).inc(),
    signal: (kind) => signals.labels(kind).inc(),
    letThrough: (of, id) => observedCalls.labels(of, id).inc(),
    shadow: (result) => shadowed.labels(result).inc(),
    appended: (seconds) => append.observe(seconds),
    async render() {
      const now = await options.read();
      for (const name of Object.keys(single) as (keyof typeof single)[]) single[name].set(now[name]);
      for (const name of Object.keys(labelled) as (keyof typeof labelled)[]) {
        const { label, gauge: of } = labelled[name];
        of.reset();
        for (const [value, count] of Object.entries(now[name])) of.set({ [label]: value }, count);
      }
      return { text: await registry.metrics(), type: registry.contentType };
    },
  };
}
