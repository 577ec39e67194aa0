import type { TaskId } from '../domain/ids.ts';
import type { HttpRequest, HttpResponse } from '../gateway/edge/client-http.ts';
import { createLegacyEdge } from '../gateway/edge/legacy/legacy-edge.ts';
import { createMcpEndpoint } from '../gateway/edge/mcp-endpoint.ts';
import { createModernEdge } from '../gateway/edge/modern/modern-edge.ts';
import type { Gateway } from '../gateway/gateway.ts';
import { handleMethod } from '../gateway/methods/handle-method.ts';
import { offer } from '../gateway/methods/offer.ts';
import { unauthorizedChallenge } from '../http/authorization-server/challenges.ts';
import type { Workspace } from './workspace.ts';

export const MAX_BODY_BYTES = 4 * 1024 * 1024;
const HEARTBEAT_MS = 15_000;

/** The MCP endpoint with both its eras. */
export interface Endpoint {
  readonly handle: (request: HttpRequest, response: HttpResponse) => Promise<void>;
  /** Sessions and streams of a task go with it (guarantee V2). */
  endTask(task: TaskId): void;
  /** What hears events without asking is closed, while the gateway denies everything (guarantee V1). */
  closeStreams(): void;
  drain(): void;
  /** Sessions of legacy clients. */
  sessions(): number;
}

/** What a caller without a good token is told (RFC 6750). */
export const challengeOf =
  (resource: string) =>
  (error: string, reason: string): string =>
    unauthorizedChallenge(resource, { error: error as 'invalid_token' | 'missing_token', reason });

export function buildEndpoint(parts: {
  workspace: Workspace;
  gateway: Gateway;
  /** The MCP endpoint's URL: what tokens are for. */
  resource: string;
  version: string;
}): Endpoint {
  const { workspace, gateway, resource, version } = parts;
  const { sessions, limits } = workspace.config;
  const challenge = challengeOf(resource);
  const shared = { gateway, challenge, version, handleMethod, offer };
  const legacy = createLegacyEdge({
    ...shared,
    random: workspace.system.random,
    onRootsChanged: ({ task }) => gateway.connections.notifyTask(task.id, 'notifications/roots/list_changed', ''),
    limits: {
      idleMs: sessions.idleSeconds * 1000,
      perTask: sessions.perTask,
      perAgent: sessions.perAgent,
      overall: sessions.max,
    },
  });
  const modern = createModernEdge({ ...shared, heartbeatMs: HEARTBEAT_MS, streamsPerTask: limits.streamsPerTask });
  return {
    handle: createMcpEndpoint({ gateway, challenge, maxBodyBytes: MAX_BODY_BYTES, legacy, modern }),
    endTask(task) {
      legacy.endTask(task);
      modern.endTask(task);
    },
    closeStreams() {
      legacy.closeStreams();
      modern.closeStreams();
    },
    drain() {
      gateway.approvals.release();
      legacy.drain();
      modern.drain();
    },
    sessions: () => legacy.sessions,
  };
}
