import { createTaskTokenAuthenticator } from '../adapters/authn/task-token-authenticator.ts';
import { createPrompts } from '../audit/prompts.ts';
import { createRefusalRecorder } from '../audit/record-refusals.ts';
import { messageOf, RemitError } from '../domain/errors.ts';
import { Standing } from '../domain/revocation.ts';
import type { Gateway } from '../gateway/gateway.ts';
import { questionOutside } from '../gateway/stages/questions.ts';
import { serveAdminSocket } from '../http/admin-socket.ts';
import { protectedResourceMetadata } from '../http/authorization-server/metadata.ts';
import { withinTemplate } from '../tasks/within-template.ts';
import { adminOperations } from './admin-operations.ts';
import { recordStart } from './announce.ts';
import { buildApprovals } from './approvals/build-approvals.ts';
import { buildAuthorization } from './authorization.ts';
import { buildEndpoint, type Endpoint } from './build-endpoint.ts';
import { buildTaskLimits } from './build-task-limits.ts';
import { buildTasks } from './build-tasks.ts';
import { buildWire } from './build-wire.ts';
import { assertClockAgrees } from './check-clock.ts';
import { closeInReverse } from './close-in-reverse.ts';
import { buildCatalogue } from './connectors/build-catalogue.ts';
import { buildFlow } from './connectors/build-flow.ts';
import { discoverAll } from './connectors/discover.ts';
import { buildOpeners, type OnChallenge } from './connectors/openers.ts';
import { buildLeases } from './credentials/build-leases.ts';
import { buildConnectorAuthorizations, type ConnectorAuthorizations } from './credentials/connector-authorizations.ts';
import { createConnectorTokens } from './credentials/connector-tokens.ts';
import { buildIssuers } from './credentials/issuers.ts';
import { buildLegacy } from './credentials/legacy.ts';
import { assertNoneShared } from './credentials/shared-secrets.ts';
import { sweepOauth } from './credentials/sweep-oauth.ts';
import { endAccess } from './end-access.ts';
import { inventoryRows } from './estate.ts';
import { joinTasks } from './join-tasks.ts';
import { followKeys } from './nodes/follow-keys.ts';
import { assertActing } from './nodes/not-acting.ts';
import { openNodes } from './nodes/open-nodes.ts';
import { assertSameUrl } from './nodes/same-url.ts';
import { openLink, openRelay, servedTasks, sharedMemory, unready } from './nodes/serve-nodes.ts';
import { createTaskUsages } from './nodes/task-usage.ts';
import { openPort } from './open-port.ts';
import { openTelemetry } from './open-telemetry.ts';
import { openDecider } from './policies/build-decider.ts';
import { writePolicySchema } from './policies/policies.ts';
import { openPolicies } from './policies/policy-in-force.ts';
import { sharePolicies } from './policies/share-policies.ts';
import { followPolicies } from './policies/watch-policies.ts';
import { readAgents } from './read-agents.ts';
import { readEnforcementPoints } from './read-enforcement-points.ts';
import { buildRevocation } from './revocation/build-revocation.ts';
import { buildRisk } from './risk/build-risk.ts';
import { describeRunning, problemsIn, type RunningGateway } from './running-gateway.ts';
import { orDamage, startRevokeOnly } from './start-revoke-only.ts';
import { spanSource } from './system.ts';
import { readAuditors } from './trail/auditor-files.ts';
import { keepTrail, type TrailKeeper } from './trail/keep-trail.ts';
import { recover } from './trail/recover.ts';
import { openServedTrail } from './trail/store-set-back.ts';
import { createTaskKeys } from './trail/task-keys.ts';
import type { Workspace } from './workspace.ts';

/** Builds a gateway out of its parts, recovers what an earlier one left, and serves. Only this folder knows implementations. */
export async function startGateway(workspace: Workspace, version: string): Promise<RunningGateway> {
  const { config, estate, places, system, store, vault } = workspace;
  const { tenant } = estate;
  const { clock, random, schedule, log } = system;
  const closers: (() => Promise<unknown> | unknown)[] = [];
  const closeAll = (): Promise<void> => closeInReverse(closers, log);

  try {
    // What can be wrong in what people wrote comes first, before anything is opened or changed.
    const policies = await openPolicies(workspace, () => ({ recorder, recordLater, wire, observed, shared }));
    const agents = await readAgents(workspace);
    const auditors = await readAuditors(workspace);
    await assertNoneShared(workspace);
    await assertClockAgrees(workspace, closers);
    const enforcementPoints = await readEnforcementPoints(workspace);
    const makeDecider = await openDecider(workspace, closers);
    const connectorTokens = createConnectorTokens(workspace);
    const issuers = await buildIssuers(workspace, connectorTokens);
    closers.push(() => Promise.all([...issuers.values()].map(({ issuer }) => issuer.close())));

    const observed = await openTelemetry(workspace, version);
    closers.push(() => observed.close());
    const { telemetry } = observed;
    const taskKeys = createTaskKeys({ tenant, repository: store.taskKeys, vault, random, clock, auditors });
    /** Not there yet while an earlier gateway's tasks are settled. */
    let keeper: TrailKeeper | undefined;
    const { measured } = observed;
    const onSegment = (): void => keeper?.segmentBegun();
    const opened = await orDamage(openServedTrail(workspace, taskKeys.seal, { measured, onSegment }));
    if (opened instanceof RemitError) {
      return await startRevokeOnly({ workspace, issuers, damage: opened, closers, close: closeAll });
    }
    const { recorder, recordLater, journal, trail, failed } = opened;
    closers.push(async () => {
      await keeper?.stop();
      await recorder.record({ type: 'gateway_stopped', detail: { version } });
      await journal.close();
    });
    const recordRefusal = createRefusalRecorder({ recordLater, clock });
    const newSpan = spanSource(random);
    const prompts =
      config.prompts === 'off'
        ? undefined
        : createPrompts({ mode: config.prompts, recorder, recordLater, newSpan, clock });
    await store.inventory.replace(tenant, inventoryRows(estate));
    await writePolicySchema(places.policies, estate).catch((error: unknown) =>
      log.warn({ error: messageOf(error) }, 'the policy schema could not be written'),
    );

    const standing = new Standing();
    const tasks = buildTasks({ workspace, standing, taskKeys, recorder, nodes: () => nodes });
    closers.push(() => tasks.close());

    const leases = buildLeases({ workspace, issuers, recorder, wire: () => wire });

    /** Not there yet while the port is not open: the callback is part of it. */
    let authorizations: ConnectorAuthorizations | undefined;
    const onChallenge: OnChallenge = (...said) => authorizations?.noteChallenge(...said);
    const { openers, containment } = await buildOpeners(workspace, version, recordLater, onChallenge);
    closers.push(async () => {
      await Promise.all([...openers.values()].map((opener) => opener.close()));
      await containment.close();
    });
    const timeoutMs: Gateway['timeoutMs'] = (connector) => (config.connectors[connector]?.timeoutSeconds ?? 60) * 1000;
    const wire = await buildWire({
      workspace,
      openers,
      timeoutMs,
      assertServed: (connector) => revocation.assertServed(connector),
      agentOf: (task) => tasks.get(task)?.agent,
      connectorOf: (uri) => {
        const item = catalogue.routeUri(uri, undefined);
        return item === undefined || 'ambiguous' in item ? undefined : item.connector;
      },
      question: (...asked) => questionOutside(gateway)(...asked),
      async onListChanged(connector, kind) {
        const before = catalogue.version;
        await catalogue.refresh(connector);
        // A change that the catalogue did not see is told all the same: of resources, which are asked for live, and of what a server has
        // for the process of one task alone. What was seen has been told by `onChanged`.
        if (catalogue.version === before) wire.hub.listChanged(connector, kind);
      },
      async rewatch(id, connector, wish) {
        const task = tasks.get(id);
        if (task === undefined) return;
        await connections.get(id, connector, await acquireLease(task, connector), wish);
      },
    });
    const { connections } = wire;
    /** Not there yet while an earlier gateway's tasks are settled. */
    let endpoint: Endpoint | undefined;
    const acquireLease: Gateway['acquireLease'] = (task, connector, item) => {
      revocation.assertServed(connector);
      return leases.acquire(withinTemplate(task, estate.templates.get(task.template)), connector, item);
    };
    joinTasks({
      workspace,
      tasks,
      leases,
      wire,
      endpoint: () => endpoint,
      recorder,
      journal,
      taskKeys,
      prompts,
      telemetry,
      deviations: () => revocation.deviations,
    });
    const told = { workspace, recorder, recordLater };
    const approvals = await buildApprovals({ ...told, standing, tasks, observed, url: () => url });
    closers.push(() => approvals.close());
    const legacy = buildLegacy(workspace, tasks, closers);
    const limits = buildTaskLimits(estate, clock, tasks, (task) => nodes?.keepLater(task));
    const flow = await buildFlow(workspace, tasks);

    const risk = await buildRisk({
      ...told,
      standing,
      tasks,
      observed,
      recordRefusal,
      order: (order) => revocation.order(order),
      catalogue: () => catalogue,
    });
    const catalogue = buildCatalogue({
      workspace,
      openers,
      leases,
      issuers,
      recorder,
      timeoutMs,
      assertServed: (connector) => revocation.assertServed(connector),
      wire,
      onChanged: risk.lookAt,
    });
    const policyVersion = (): string => policies.engine().version;
    const revocation = buildRevocation({
      workspace,
      standing,
      tasks,
      leases,
      catalogue,
      wire,
      recorder,
      recordLater,
      approvals,
      policyVersion,
      closeStreams: () => endpoint?.closeStreams(),
    });
    closers.push(() => revocation.close());
    const usages = createTaskUsages(limits, legacy, (task) => estate.templates.get(task.template)?.limits);
    const state = { tasks, leases, taskKeys, prompts, flow, risk, usages };
    const shared = await sharePolicies(workspace, { policies, recorder, closers });
    const about = { ...told, version, policyVersion, revocation, approvals, trail: trail.state, closers, shared };
    const { nodes, adoption, rejoin } = openNodes({ ...about, ...state });
    closers.push(() => nodes?.leave());
    await revocation.start();
    await catalogue.load();

    await recover({ ...told, ...state, journal, trail, rejoin });
    keeper = keepTrail({ workspace, journal, recorder, state: trail.state, tasks });
    await keeper.start();

    closers.push(() => endAccess({ wire, leases, system }));
    // Closers run in reverse: the port first, so that what is under way can finish and nothing new begins.
    const { http, url, listens, address, hosts } = await openPort(workspace);
    // What has been passed on is answered through the port that it came by: closed after it.
    const link = openLink(nodes, url);
    closers.push(
      () => link?.close(),
      () => http.close(),
    );
    await assertSameUrl(workspace, url);
    const resource = `${url}/mcp`;
    await connectorTokens.open(url);
    const parts = { workspace, tokens: connectorTokens, url, recorder, recordRefusal, leases, catalogue, closers };
    authorizations = await buildConnectorAuthorizations(parts);

    const { authorizationServer, signingKeys } = await buildAuthorization({
      workspace,
      issuer: url,
      resource,
      connectorKeys: () => connectorTokens.publicKeys(),
      agents,
      tasks,
      assertCurrent: assertActing(revocation, nodes),
      recorder,
      recordRefusal,
      prompts,
      flow,
    });
    closers.push(sweepOauth(workspace), followKeys(workspace, [signingKeys, connectorTokens]));

    const gateway: Gateway = {
      tenant,
      authenticator: createTaskTokenAuthenticator({
        issuer: url,
        audience: resource,
        keys: () => signingKeys.verificationKeys(),
        clock,
      }),
      isRegistered: (agent) => estate.agents.has(agent),
      tasks: servedTasks(tasks, revocation, nodes, adoption),
      memory: sharedMemory(nodes, adoption, workspace),
      template: (id) => estate.templates.get(id),
      catalogue,
      flow,
      approvals,
      risk,
      deviated: (...said) => revocation.deviations.deviated(...said),
      decider: makeDecider({ ...policies, labelsOf: flow.labelsOf }),
      recorder,
      recordLater,
      recordRefusal,
      prompts,
      telemetry,
      acquireLease,
      legacy,
      limits,
      connections,
      hub: wire.hub,
      sealer: wire.sealer,
      rounds: wire.rounds,
      clientFeatures: wire.clientFeatures,
      connectors: [...estate.connectors.keys()],
      enter: wire.enter,
      leave: wire.leave,
      timeoutMs,
      newSpan,
      clock,
      schedule,
      log,
    };
    const served = buildEndpoint({ workspace, gateway, resource, version });
    endpoint = served;
    const admin = await serveAdminSocket(
      places.socket,
      schedule,
      adminOperations({
        workspace,
        recorder,
        leases,
        approvals,
        risk,
        flow,
        catalogue,
        revocation,
        signingKeys,
        connectorTokens,
        keeper,
        policies,
        authorizations,
        status: () => ({
          url,
          pid: process.pid,
          tasks: tasks.active().length,
          connections: connections.size,
          containment: containment.mode,
          policy: policies.engine().counts,
          problems: problemsIn(catalogue),
        }),
      }),
    );
    closers.push(() => admin.close());

    await shared?.begin();
    const started = { version, url, containment: containment.mode, policies: policies.current() };
    await recordStart(recorder, workspace, auditors, standing, started);
    closers.push(followPolicies(workspace, policies), () => policies.close());
    const { metricsPort } = await observed.serve(() => ({
      journalRecords: journal.size,
      journalBehind: keeper?.behind() ?? {},
      tasks: tasks.active().length,
      sessions: served.sessions(),
      connections: connections.size,
      revocationsOutstanding: leases.counts().revoking,
      risks: risk.counts(),
      catalogueVersion: catalogue.version,
    }));
    if (metricsPort !== undefined) log.info({ url: `http://127.0.0.1:${metricsPort}/metrics` }, 'metrics are served');
    http.showKeys(authorizationServer.callback, hosts);
    await discoverAll(workspace, catalogue, risk.lookAt);
    await http.serve(
      {
        mcp: served.handle,
        drain: served.drain,
        approvals: approvals.pages,
        connectorOauth: authorizations,
        securityEvents: risk.securityEvents,
        authZen: enforcementPoints && { url, points: enforcementPoints },
        authorizationServer: authorizationServer.callback,
        relay: openRelay({ workspace, nodes, link, authenticator: gateway.authenticator, resource, http, closers }),
        unready: () => unready(revocation, nodes),
        protectedResource: () => protectedResourceMetadata({ resource, issuer: url }),
        gateway: () => gateway,
      },
      hosts,
    );
    nodes?.serve(address);
    const ended = nodes === undefined ? failed : Promise.race([failed, nodes.failed]);
    return describeRunning(catalogue, { url, listens, failed: ended, close: closeAll });
  } catch (error) {
    await closeAll();
    throw error;
  }
}
