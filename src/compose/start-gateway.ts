import { createSubjectTokenVerifier } from '../adapters/authn/subject-token-verifier.ts';
import { createTaskTokenAuthenticator } from '../adapters/authn/task-token-authenticator.ts';
import { readPublicKeys } from '../agent/agent-key.ts';
import { createRefusalRecorder } from '../audit/record-refusals.ts';
import { messageOf, RemitError } from '../domain/errors.ts';
import { connectorId, type LeaseId, type TaskId } from '../domain/ids.ts';
import { userKey } from '../domain/principal.ts';
import type { Task } from '../domain/task.ts';
import { createConnections } from '../gateway/connections.ts';
import { createMcpEndpoint } from '../gateway/edge/mcp-endpoint.ts';
import type { Gateway } from '../gateway/gateway.ts';
import { serveAdminSocket } from '../http/admin-socket.ts';
import { createAuthorizationServer } from '../http/authorization-server/authorization-server.ts';
import { unauthorizedChallenge } from '../http/authorization-server/challenges.ts';
import { protectedResourceMetadata } from '../http/authorization-server/metadata.ts';
import { loadOrCreateSigningKeys } from '../http/authorization-server/signing-keys.ts';
import { openHttpServer } from '../http/server.ts';
import { type Catalogue, createCatalogue } from '../inventory/catalogue.ts';
import { createLeaseManager } from '../leases/lease-manager.ts';
import { createDecider } from '../policy/decide.ts';
import type { Schedule } from '../seams/clock.ts';
import { refuseTask } from '../tasks/task-refusal.ts';
import { createTaskRegistry } from '../tasks/task-registry.ts';
import { withinTemplate } from '../tasks/within-template.ts';
import { inventoryRows } from './estate.ts';
import { buildIssuers } from './issuers.ts';
import { createToolLister } from './list-tools.ts';
import { openJournal } from './open-journal.ts';
import { buildOpeners } from './openers.ts';
import { buildEngine, readPolicies, writePolicySchema } from './policies.ts';
import { type Administration, administrator } from './record-administration.ts';
import { recover } from './recover.ts';
import { createTaskKeys } from './task-keys.ts';
import type { Workspace } from './workspace.ts';

export interface RunningGateway {
  /** Base URL; the MCP endpoint is `<url>/mcp`. */
  readonly url: string;
  readonly tools: number;
  readonly undescribed: number;
  /** Connectors that could not be listed at the start, for people. */
  readonly problems: readonly string[];
  /** Resolves, with why, when the gateway can serve no more. */
  readonly failed: Promise<string>;
  close(): Promise<void>;
}

const MAX_BODY_BYTES = 4 * 1024 * 1024;
const MAX_CONNECTIONS = 256;
const DISCOVERY_WAIT_MS = 15_000;
const OAUTH_SWEEP_MS = 600_000;

/** Builds a gateway out of its parts, recovers what an earlier one left, and serves. The only place where implementations meet. */
export async function startGateway(workspace: Workspace, version: string): Promise<RunningGateway> {
  const { config, estate, places, system, store, vault } = workspace;
  const { tenant } = estate;
  const { clock, random, schedule, log } = system;
  const closers: (() => Promise<unknown> | unknown)[] = [];
  const closeAll = async (): Promise<void> => {
    for (const closer of closers.splice(0).reverse()) {
      try {
        await closer();
      } catch (error) {
        log.error({ error: messageOf(error) }, 'a part could not be closed cleanly');
      }
    }
  };

  try {
    // What can be wrong in what people wrote comes first, before anything is opened or changed.
    const policies = await readPolicies(places.policies, estate);
    const clients = await Promise.all(
      [...estate.agents.values()].map(async (agent) => ({
        id: agent.id,
        jwks: await readPublicKeys(workspace.loaded.resolvePath(agent.publicKeys)),
      })),
    );
    const engine = buildEngine(policies);
    const credentials = buildIssuers(workspace);
    closers.push(() => Promise.all([...credentials.values()].map(({ issuer }) => issuer.close())));

    const taskKeys = createTaskKeys({ tenant, repository: store.taskKeys, vault, random, clock });
    const { recorder, recordLater, journal, failed } = await openJournal(workspace, taskKeys.seal);
    closers.push(async () => {
      await recorder.record({ type: 'gateway_stopped', detail: { version } });
      await journal.close();
    });
    const recordRefusal = createRefusalRecorder({ recordLater, clock });
    await store.inventory.replace(tenant, inventoryRows(estate));
    await writePolicySchema(places.policies, estate).catch((error: unknown) =>
      log.warn({ error: messageOf(error) }, 'the policy schema could not be written'),
    );

    const tasks = createTaskRegistry({
      tenant,
      repository: store.tasks,
      templates: () => estate.templates,
      clock,
      schedule,
      random,
      log,
      async onStarted(task) {
        await taskKeys.create(task.id);
        await recorder.record({ type: 'task_started', ...identity(task), detail: taskDetail(task) });
      },
    });
    closers.push(() => tasks.close());

    const leases = createLeaseManager({
      tenant,
      repository: store.leases,
      issuerOf: (connector) => credentials.get(connector),
      clock,
      schedule,
      random,
      log,
      audit: async (event) => {
        await recorder.record(event);
      },
      taskOf: (task) => store.tasks.get(tenant, task),
      onRetired: (lease, reason) =>
        reason === 'renewed' ? connections.retireLease(lease.id) : connections.closeLease(lease.id),
    });

    const { openers, containment } = await buildOpeners(workspace, version);
    closers.push(async () => {
      await Promise.all([...openers.values()].map((opener) => opener.close()));
      await containment.close();
    });
    const timeoutMs: Gateway['timeoutMs'] = (connector) => (config.connectors[connector]?.timeoutSeconds ?? 60) * 1000;
    const connections = createConnections({
      opener: (connector) => {
        const opener = openers.get(connector);
        if (opener === undefined) throw new Error(`no connector ${connector}`);
        return opener;
      },
      timeoutMs,
      max: MAX_CONNECTIONS,
    });
    tasks.onEnd(async (task, reason) => {
      await connections.closeTask(task.id);
      await leases.revokeTask(task.id, reason);
      await recorder.record({ type: 'task_ended', ...identity(task), detail: { reason, purpose: task.purpose } });
      // The end of a task is where its story is complete: put it under a signature.
      await journal.checkpoint();
      taskKeys.forget(task.id);
    });

    const catalogue = createCatalogue({
      tenant,
      connectors: [...estate.connectors.values()],
      inventory: store.inventory,
      listTools: createToolLister({ workspace, openers, leases, credentials, recorder, timeoutMs }),
      clock,
      log,
    });
    await catalogue.load();

    await recover({ workspace, journal, recorder, tasks, leases, taskKeys });

    const http = await openHttpServer(config.listen.host, config.listen.port, schedule);
    closers.push(() => http.close());
    const url = (config.publicUrl ?? `http://${hostText(http.host)}:${http.port}`).replace(/\/+$/, '');
    const resource = `${url}/mcp`;

    const signingKeys = await loadOrCreateSigningKeys({
      repository: store.signingKeys,
      seal: (name, bytes) => vault.seal(name, bytes),
      open: (name, sealed) => vault.open(name, sealed),
      clock,
      log,
      tokenSeconds: config.tokenSeconds,
    });
    const subjects = createSubjectTokenVerifier({
      providers: config.identityProviders,
      fetch: (address, init) => fetch(address, init),
      clock,
      log,
    });
    const authorizationServer = await createAuthorizationServer({
      issuer: url,
      resource,
      tokenSeconds: config.tokenSeconds,
      agents: clients,
      store: store.oauth,
      signingKeys,
      clock,
      log,
      startTask: (request) => tasks.start(request),
      continueTask: ({ agent, task }) => {
        const running = tasks.get(task);
        return running?.agent === agent
          ? running
          : refuseTask('not_found', `'${task}' is not a running task of agent '${agent}'`);
      },
      verifySubjectToken: (token) => subjects.verify(token),
      async onTokenIssued({ task, tokenId, expiresAt, clientThumbprint }) {
        await recorder.record({
          type: 'token_issued',
          ...identity(task),
          ...(clientThumbprint !== undefined && { workload: `private_key_jwt:${clientThumbprint}` }),
          detail: { token: tokenId, expires: new Date(expiresAt).toISOString(), audience: resource },
        });
      },
      onRefused: ({ agent, error, description }) =>
        recordRefusal({ at: 'token endpoint', named: agent, error, reason: description }),
    });

    closers.push(
      repeat(schedule, OAUTH_SWEEP_MS, async () => {
        await store.oauth
          .removeExpired(Math.floor(clock() / 1000))
          .catch((error: unknown) => log.warn({ error: messageOf(error) }, 'expired OAuth rows could not be removed'));
      }),
    );

    const gateway: Gateway = {
      tenant,
      authenticator: createTaskTokenAuthenticator({
        issuer: url,
        audience: resource,
        keys: () => signingKeys.verificationKeys(),
        clock,
      }),
      isRegistered: (agent) => estate.agents.has(agent),
      tasks: {
        get: tasks.get,
        callsLeft: tasks.callsLeft,
        takeCall: (id) => 'callsLeft' in tasks.takeCall(id),
        end: tasks.end,
      },
      template: (id) => estate.templates.get(id),
      catalogue,
      decider: createDecider({ engine: () => engine, environment: estate.environment, clock, log }),
      recorder,
      recordLater,
      recordRefusal,
      acquireLease: (task, connector) =>
        leases.acquire(withinTemplate(task, estate.templates.get(task.template)), connector),
      connections,
      timeoutMs,
      newSpan: () => Buffer.from(random(8)).toString('hex'),
      clock,
      log,
    };
    const challenge = (error: string, reason: string): string =>
      unauthorizedChallenge(resource, { error: error as 'invalid_token' | 'missing_token', reason });

    const administer = (change: Administration): Promise<number> =>
      recorder.record({ type: 'administration', detail: { ...change, by: administrator() } });
    const admin = await serveAdminSocket(places.socket, {
      status: () => ({
        url,
        pid: process.pid,
        tasks: tasks.active().length,
        connections: connections.size,
        containment: containment.mode,
        problems: problemTexts(),
      }),
      'end-task': async ({ task = '' }) => {
        const id = task as TaskId;
        if ((await store.tasks.get(tenant, id)) === undefined) {
          throw new RemitError('ERR_NOT_FOUND', `there is no task ${id}`, {
            where: id,
            hint: '`remit task ls --all` lists them.',
          });
        }
        await administer({ action: 'task_end', task: id });
        return { ended: await tasks.end(id, 'revoked') };
      },
      'revoke-lease': ({ lease = '' }) => revokeLease(lease as LeaseId),
      refresh: async ({ connector = '' }) => ({ tools: (await catalogue.refresh(connectorId(connector))).length }),
      record: async ({ detail = '{}' }) => {
        await recorder.record({ type: 'administration', detail: JSON.parse(detail) as Record<string, unknown> });
      },
      'rotate-keys': async () => {
        await administer({ action: 'signing_keys_rotate' });
        await signingKeys.rotate();
        return { keys: signingKeys.publicJwks().keys.map((key) => key.kid) };
      },
    });
    closers.push(() => admin.close());
    const problemTexts = (): string[] =>
      [...catalogue.problems()].map(([connector, error]) => `${connector}: ${error.message}`);
    async function revokeLease(id: LeaseId): Promise<{ state: string }> {
      await administer({ action: 'lease_revoke', lease: id });
      return { state: (await leases.revoke(id, 'revoked by an administrator')).state };
    }

    await recorder.record({
      type: 'gateway_started',
      detail: {
        version,
        url,
        policyVersion: engine.version,
        containment: containment.mode,
        agents: estate.agents.size,
        connectors: estate.connectors.size,
      },
    });
    await discoverAll(workspace, catalogue);
    http.serve(
      {
        mcp: createMcpEndpoint({ gateway, challenge, maxBodyBytes: MAX_BODY_BYTES, version }),
        authorizationServer: authorizationServer.callback,
        protectedResource: () => protectedResourceMetadata({ resource, issuer: url }),
        gateway: () => gateway,
      },
      allowedHosts(url, http.host, http.port),
    );
    // Tasks outlive a restart, their credentials and connections do not: the next call gets new ones.
    closers.push(async () => {
      await connections.closeAll();
      await leases.revokeAll('gateway stopped');
      leases.close();
    });

    const all = catalogue.tools();
    return {
      url,
      tools: all.filter((tool) => tool.status === 'described').length,
      undescribed: all.filter((tool) => tool.status !== 'described').length,
      problems: problemTexts(),
      failed,
      close: closeAll,
    };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

/**
 * Lists every connector, side by side. Only those never seen before are waited for, and not for long: what earlier runs saw of the
 * others serves meanwhile, and one that hangs or fails is reported and holds up nobody.
 */
async function discoverAll({ estate, system }: Workspace, catalogue: Catalogue): Promise<void> {
  const seen = new Set(catalogue.tools().map((tool) => tool.connector));
  const unseen: Promise<unknown>[] = [];
  for (const connector of estate.connectors.keys()) {
    const listing = catalogue.refresh(connector).catch(() => undefined);
    if (!seen.has(connector)) unseen.push(listing);
  }
  let cancel = (): void => {};
  const timeout = new Promise<void>((resolve) => {
    cancel = system.schedule(DISCOVERY_WAIT_MS, resolve);
  });
  await Promise.race([Promise.all(unseen), timeout]);
  cancel();
}

/** Runs work again and again, each time `ms` after the last has finished; the returned function stops it. */
function repeat(schedule: Schedule, ms: number, work: () => Promise<void>): () => void {
  let cancel = schedule(ms, again);
  let isStopped = false;
  function again(): void {
    void work().finally(() => {
      if (!isStopped) cancel = schedule(ms, again);
    });
  }
  return () => {
    isStopped = true;
    cancel();
  };
}

function identity(task: Task) {
  return { trace: task.trace, ...(task.user && { user: userKey(task.user) }), agent: task.agent, task: task.id };
}

function taskDetail(task: Task): Record<string, unknown> {
  const { template, purpose, bounds, expiresAt } = task;
  return { template, purpose, ...bounds, expires: new Date(expiresAt).toISOString() };
}

const hostText = (host: string): string => (host.includes(':') ? `[${host}]` : host);

/** Names under which the gateway may be addressed: what it listens on, loopback's usual names, and its public URL. */
function allowedHosts(url: string, host: string, port: number): ReadonlySet<string> {
  const { host: publicHost } = new URL(url);
  return new Set([
    publicHost.toLowerCase(),
    `${hostText(host).toLowerCase()}:${port}`,
    `localhost:${port}`,
    `127.0.0.1:${port}`,
  ]);
}
