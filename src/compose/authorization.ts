import type { JWK } from 'jose';
import { createSubjectTokenVerifier } from '../adapters/authn/subject-token-verifier.ts';
import type { Prompts } from '../audit/prompts.ts';
import type { Recorder } from '../audit/recorder.ts';
import type { Flow } from '../flow/create-flow.ts';
import type { AgentClient } from '../http/authorization-server/agent-clients.ts';
import {
  type AuthorizationServer,
  createAuthorizationServer,
} from '../http/authorization-server/authorization-server.ts';
import { loadOrCreateSigningKeys, type SigningKeys } from '../http/authorization-server/signing-keys.ts';
import { suspendedBy } from '../tasks/hold-on.ts';
import { isTaskRefusal, refuseTask } from '../tasks/task-refusal.ts';
import type { TaskRegistry } from '../tasks/task-registry.ts';
import { guardedFetches } from './guarded-fetches.ts';
import { KEY_SETTLE_MS } from './nodes/follow-keys.ts';
import { identityOfTask } from './trail/task-records.ts';
import type { Workspace } from './workspace.ts';

/** The authorization server over the task registry, the vault and the configured identity providers. */
export async function buildAuthorization(parts: {
  workspace: Workspace;
  /** The gateway's own URL. */
  issuer: string;
  /** The MCP endpoint: the only audience of task tokens. */
  resource: string;
  /** Other keys of the gateway that its key set shows: never those of task tokens. */
  connectorKeys: () => readonly JWK[];
  agents: readonly AgentClient[];
  tasks: TaskRegistry;
  /** @throws `ERR_STORE_…` while nothing may be given, because it is not certain what was taken back (guarantee V1) */
  assertCurrent: () => Promise<void>;
  recorder: Recorder;
  recordRefusal: (detail: Readonly<Record<string, unknown>>) => void;
  prompts: Prompts | undefined;
  flow: Pick<Flow, 'notePrompt'>;
}): Promise<{ authorizationServer: AuthorizationServer; signingKeys: SigningKeys }> {
  const { workspace, issuer, resource, connectorKeys, agents, tasks, assertCurrent, recorder, recordRefusal, prompts } =
    parts;
  const { config, store, vault, system } = workspace;
  const { clock, log } = system;
  const signingKeys = await loadOrCreateSigningKeys({
    repository: store.signingKeys,
    seal: (name, bytes) => vault.seal(name, bytes),
    open: (name, sealed) => vault.open(name, sealed),
    clock,
    log,
    tokenSeconds: config.tokenSeconds,
    ...(store.shared !== undefined && { settleMs: KEY_SETTLE_MS }),
  });
  const subjects = createSubjectTokenVerifier({
    providers: config.identityProviders,
    fetch: guardedFetches(config.identityProviders),
    clock,
    log,
  });
  const authorizationServer = await createAuthorizationServer({
    issuer,
    resource,
    tokenSeconds: config.tokenSeconds,
    agents,
    store: store.oauth,
    signingKeys,
    otherKeys: connectorKeys,
    clock,
    log,
    async startTask(request) {
      await assertCurrent();
      const task = await tasks.start(request);
      const { prompt } = request.declaration;
      if (isTaskRefusal(task) || prompt === undefined) return task;
      // A child is narrower than its parent: words that it brings along must not widen what the family was asked for.
      if ('text' in prompt && task.parent === undefined) parts.flow.notePrompt(task, prompt.text);
      if (prompts === undefined) return task;
      try {
        await prompts.note({ ...identityOfTask(task), task: task.id }, prompt, {
          source: 'declaration',
        });
      } catch (error) {
        // Nobody has seen the task: it is ended rather than left to lapse.
        await tasks.end(task.id, 'revoked');
        throw error;
      }
      return task;
    },
    async continueTask({ agent, task }) {
      await assertCurrent();
      const held = tasks.suspension(task);
      if (held !== undefined && tasks.live().some(({ id, agent: own }) => id === task && own === agent)) {
        return refuseTask('suspended', `${suspendedBy(task, held)}: it can be continued when it is resumed`);
      }
      const running = tasks.get(task);
      if (running?.agent === agent) return running;
      return refuseTask('not_found', `'${task}' is not a running task of agent '${agent}'`);
    },
    verifySubjectToken: (token) => subjects.verify(token),
    async onTokenIssued({ task, tokenId, expiresAt, clientThumbprint }) {
      await recorder.record({
        type: 'token_issued',
        ...identityOfTask(task),
        ...(clientThumbprint !== undefined && { workload: `private_key_jwt:${clientThumbprint}` }),
        detail: { token: tokenId, expires: new Date(expiresAt).toISOString(), audience: resource },
      });
    },
    onRefused: ({ agent, error, description }) =>
      recordRefusal({ at: 'token endpoint', named: agent, error, reason: description }),
  });
  return { authorizationServer, signingKeys };
}
