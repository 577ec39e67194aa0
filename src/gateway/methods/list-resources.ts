import { messageOf } from '../../domain/errors.ts';
import type { ConnectorId } from '../../domain/ids.ts';
import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import { isRefused, refuse } from '../../domain/refusal.ts';
import type { GovernedTool } from '../../domain/tool.ts';
import { renderResource } from '../../inventory/render-definition.ts';
import type { HeldLease } from '../../leases/held-lease.ts';
import type { ClientRequest, MethodAnswer } from '../client-request.ts';
import type { Gateway } from '../gateway.ts';
import type { Caller } from '../stages/authenticate.ts';
import { lease } from '../stages/lease.ts';
import { identityOf, recordDenial } from '../stages/record-intent.ts';
import { needlesOf } from '../stages/withhold-secrets.ts';
import { discoverer } from './list-items.ts';
import { pageOf, pageStart } from './pages.ts';
import { readPages } from './read-pages.ts';
import { invalidParams, listAnswer } from './results.ts';

/** Described resources of one connector that the caller may see. */
type Visible = ReadonlyMap<ConnectorId, readonly GovernedTool[]>;

/**
 * `resources/list`: asked of each connector that has described resources which the caller may see, as servers' resources come and go. What
 * no described pattern covers is counted and not shown; a connector that fails is left out, and named.
 */
export async function listResources(gateway: Gateway, caller: Caller, request: ClientRequest): Promise<MethodAnswer> {
  const { method } = request;
  const start = pageStart(gateway, caller, request);
  if (start === undefined) return invalidParams('"cursor" is none that this gateway gave for this list');
  const span = gateway.newSpan();
  const { agent } = caller.principal;
  if (!gateway.enter(agent)) {
    const reason = `${agent} has as many calls under way as it may have`;
    await recordDenial(gateway, caller, { span, method, rule: 'remit:busy', gate: 'budget', reason });
    const nextStep = 'Nothing was sent. Wait until one has come back, then call again.';
    return { reply: refuse({ kind: 'unavailable', code: 'ERR_BUSY', reason, nextStep, isForwarded: false }) };
  }
  try {
    const { visible, counts } = await findVisible(gateway, caller, request);
    // Durable before anything is asked of a connector (guarantee A1).
    await gateway.recorder.record({
      type: 'discovery',
      ...identityOf(caller),
      span,
      detail: {
        effect: 'list',
        method,
        ...(request.scope !== undefined && { scope: request.scope }),
        asked: [...visible.values()].flat().map(({ ref }) => ref),
        ...counts,
        purpose: caller.task.purpose,
      },
    });
    const startedAt = gateway.clock();
    const listings = await Promise.all(
      [...visible].map(([connector, items]) => listOf(gateway, caller, request, connector, items, span)),
    );
    const texts = listings.flatMap((listing) => listing.texts);
    const unavailable = listings.flatMap(({ connector, isAvailable }) => (isAvailable ? [] : [connector]));
    const withheld = { ...counts, undescribed: listings.reduce((sum, one) => sum + one.others, counts.undescribed) };
    const page = pageOf(gateway, caller, request, start, texts);
    const meta = `"_meta":${JSON.stringify({ 'io.remit/withheld': { ...withheld, unavailable } })}`;
    const detail = {
      status: unavailable.length === 0 ? 'ok' : 'partial',
      durationMs: gateway.clock() - startedAt,
      shown: texts.length,
      unavailable,
    };
    return {
      ...listAnswer(request, `"resources":[${page.texts.join(',')}],${meta}${page.next}`),
      recordOutcome: () => gateway.recordLater({ type: 'outcome', ...identityOf(caller), span, detail }),
    };
  } finally {
    gateway.leave(agent);
  }
}

async function findVisible(gateway: Gateway, caller: Caller, { scope }: ClientRequest) {
  const mayDiscover = discoverer(gateway, caller);
  const visible = new Map<ConnectorId, GovernedTool[]>();
  const counts = { undescribed: 0, quarantined: 0, withheld: 0 };
  for (const item of gateway.catalogue.resources()) {
    const { connector, status } = item;
    if (scope !== undefined && connector !== scope) continue;
    if (status === 'suspended') counts.withheld += 1;
    else if (status !== 'described') counts[status] += 1;
    else if (!(await mayDiscover(item))) counts.withheld += 1;
    else visible.set(connector, [...(visible.get(connector) ?? []), item]);
  }
  return { visible: visible as Visible, counts };
}

interface Listing {
  readonly connector: ConnectorId;
  readonly texts: readonly string[];
  /** Entries that are not shown. */
  readonly others: number;
  readonly isAvailable: boolean;
}

async function listOf(
  gateway: Gateway,
  caller: Caller,
  request: ClientRequest,
  connector: ConnectorId,
  items: readonly GovernedTool[],
  span: string,
): Promise<Listing> {
  const { task } = caller;
  const failed: Listing = { connector, texts: [], others: 0, isAvailable: false };
  let held: HeldLease | undefined;
  try {
    const leased = await lease(gateway, caller, { item: items[0] as GovernedTool, span });
    if (isRefused(leased)) return failed;
    held = leased.held;
    if (gateway.tasks.get(task.id) === undefined) return failed;
    const needles = needlesOf(held);
    const upstream = await gateway.connections.get(task.id, connector, held, {
      prefer: request.era,
      clientCapabilities: request.capabilities,
    });
    if (gateway.tasks.get(task.id) === undefined || held?.isLive === false) return failed;
    if (!isJsonObject(upstream.capabilities.resources)) return { ...failed, isAvailable: true };
    const listed = await readPages(
      upstream,
      connector,
      {
        method: 'resources/list',
        member: 'resources',
        isDeclared: true,
        meta: `"traceparent":"00-${task.trace}-${span}-01"`,
        cancellation: request.cancellation,
      },
      gateway.timeoutMs(connector),
      needles,
    );
    const texts = listed.flatMap((one) => renderListed(gateway, request, items, one));
    return { connector, texts, others: listed.length - texts.length, isAvailable: true };
  } catch (error) {
    gateway.log.warn({ connector, task: task.id, error: messageOf(error) }, 'resources could not be listed');
    return failed;
  } finally {
    held?.endCall?.();
  }
}

/** Shown under its own URI, where that leads back to this connector and to what the caller may see. */
function renderListed(
  { catalogue }: Gateway,
  { scope }: ClientRequest,
  items: readonly GovernedTool[],
  listed: JsonObject,
): readonly string[] {
  const { uri } = listed;
  const found = typeof uri === 'string' ? catalogue.routeUri(uri, scope) : undefined;
  if (found === undefined || 'ambiguous' in found || !items.some(({ ref }) => ref === found.ref)) return [];
  try {
    return [renderResource(uri as string, listed)];
  } catch {
    return [];
  }
}
