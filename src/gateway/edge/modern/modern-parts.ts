import type { ConnectorId } from '../../../domain/ids.ts';
import type { JsonObject } from '../../../domain/json.ts';
import type { ClientRequest, MethodAnswer } from '../../client-request.ts';
import type { Gateway } from '../../gateway.ts';
import type { Caller } from '../../stages/authenticate.ts';
import type { Challenge } from '../render.ts';

/** What the modern edge is built of. */
export interface ModernParts {
  readonly gateway: Gateway;
  readonly challenge: Challenge;
  /** Of Remit, for `serverInfo`. */
  readonly version: string;
  /** Silence after which a stream gets a heartbeat, milliseconds. */
  readonly heartbeatMs: number;
  /** Subscriptions that a task may have open (guarantee I3). Default 8. */
  readonly streamsPerTask?: number;
  readonly handleMethod: (
    gateway: Gateway,
    caller: Caller,
    request: ClientRequest,
  ) => Promise<MethodAnswer> | MethodAnswer;
  readonly offer: (gateway: Gateway, caller: Caller, scope: ConnectorId | undefined) => Offer | Promise<Offer>;
}

/** What the gateway offers to one caller on one path. */
export interface Offer {
  readonly capabilities: JsonObject;
  readonly instructions?: string | undefined;
}
