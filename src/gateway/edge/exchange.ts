import type { ConnectorId } from '../../domain/ids.ts';
import type { Caller } from '../stages/authenticate.ts';
import type { HttpRequest, HttpResponse } from './client-http.ts';

/** One authenticated HTTP exchange at the MCP endpoint, its body read and parsed strictly. */
export interface Exchange {
  readonly request: HttpRequest;
  readonly response: HttpResponse;
  readonly caller: Caller;
  /** The connector whose own path was called; undefined: the endpoint of all. */
  readonly scope: ConnectorId | undefined;
  /** Parsed body of a POST; undefined for GET and DELETE. */
  readonly body: unknown;
}

/** What one era makes of an exchange. The endpoint answers a fault that it throws or rejects with, as a refusal. */
export interface EraEdge {
  post(exchange: Exchange): Promise<void> | void;
  get(exchange: Exchange): Promise<void> | void;
  delete(exchange: Exchange): Promise<void> | void;
  /** A task has ended: its streams and sessions go (guarantee V2). */
  endTask(task: string): void;
  /** The gateway denies everything for now: what hears events without asking is closed, and comes back when it is served again. */
  closeStreams(): void;
  /** The gateway stops: long-lived streams are closed so that calls under way can finish; nothing new is begun. */
  drain(): void;
}
