import type { ConnectorId, RandomBytes } from '../../../domain/ids.ts';
import type { JsonObject } from '../../../domain/json.ts';
import type { ClientRequest, MethodAnswer } from '../../client-request.ts';
import type { Gateway } from '../../gateway.ts';
import type { Caller } from '../../stages/authenticate.ts';
import type { Challenge } from '../render.ts';
import type { SessionLimits } from './sessions.ts';

/** What the legacy edge is built of. */
export interface LegacyParts {
  readonly gateway: Gateway;
  readonly challenge: Challenge;
  /** Of Remit, for `serverInfo`. */
  readonly version: string;
  readonly random: RandomBytes;
  readonly handleMethod: (
    gateway: Gateway,
    caller: Caller,
    request: ClientRequest,
  ) => Promise<MethodAnswer> | MethodAnswer;
  readonly offer: (gateway: Gateway, caller: Caller, scope: ConnectorId | undefined) => Offered | Promise<Offered>;
  /** The client of a session says that its roots have changed. */
  readonly onRootsChanged?: (caller: Caller, scope: ConnectorId | undefined) => void;
  /** Where they differ from `SESSION_LIMITS`. */
  readonly limits?: Partial<SessionLimits>;
  /** Silence after which a reply becomes a stream, and time between heartbeats of a GET stream; milliseconds. */
  readonly replyHeartbeatMs?: number;
  readonly streamHeartbeatMs?: number;
}

interface Offered {
  readonly capabilities: JsonObject;
  readonly instructions?: string | undefined;
}
