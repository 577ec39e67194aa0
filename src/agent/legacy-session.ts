import { isJsonObject, type JsonObject } from '../domain/json.ts';
import type { ClientMessage } from './client-message.ts';
import { type GatewayResponse, textHeader } from './gateway-link.ts';

/** Subscriptions that are kept to be made again. */
const MOST_KEPT = 256;

export interface LegacySessionOptions {
  /** Sends a message of our own and gives its reply. @throws where there is none */
  readonly post: (
    line: string,
    headers: Record<string, string>,
  ) => Promise<{ response: GatewayResponse; reply: unknown }>;
  /** A session has been opened, and the client has said that it is ready. */
  readonly onReady: () => void;
}

/**
 * The client's session with the gateway (≤ 2025-11-25), and what it takes to open it again: the client's own `initialize`, its
 * `notifications/initialized`, and what it has set since. Calls are never sent again (guarantee I2).
 */
export class LegacySession {
  readonly #options: LegacySessionOptions;
  #initialize: string | undefined;
  #initialized: string | undefined;
  /** `logging/setLevel` and `resources/subscribe`, by what they are about. */
  readonly #settings = new Map<string, { method: string; params: JsonObject }>();
  #id: string | undefined;
  #version: string | undefined;
  #number = 0;
  #reopening: Promise<void> | undefined;

  constructor(options: LegacySessionOptions) {
    this.#options = options;
  }

  /** Counts sessions, so that word of an old one does not end the new one. */
  get number(): number {
    return this.#number;
  }

  get hasId(): boolean {
    return this.#id !== undefined;
  }

  get headers(): Record<string, string> {
    return {
      ...(this.#version !== undefined && { 'mcp-protocol-version': this.#version }),
      ...(this.#id !== undefined && { 'mcp-session-id': this.#id }),
    };
  }

  /** Takes what the gateway answered to the client's `initialize`. */
  begin(line: string, response: GatewayResponse, reply: unknown): void {
    this.#settings.clear();
    this.#initialized = undefined;
    this.#initialize = this.#take(response, reply) ? line : undefined;
  }

  /** Takes note of a message that the gateway has accepted, and that belongs to the session's state. */
  note({ method, params, line }: ClientMessage): void {
    if (method === 'notifications/initialized') {
      this.#initialized = line;
      this.#options.onReady();
    } else if (method === 'logging/setLevel') this.#settings.set('level', { method, params });
    else if (method === 'resources/unsubscribe') this.#settings.delete(`uri ${String(params.uri)}`);
    else if (method === 'resources/subscribe' && this.#settings.size < MOST_KEPT)
      this.#settings.set(`uri ${String(params.uri)}`, { method, params });
  }

  /** Opens it again, once for all who found it gone (fault 12). @throws where that fails */
  reopen(gone: number): Promise<void> {
    if (gone !== this.#number) return Promise.resolve();
    this.#reopening ??= this.#openAgain().finally(() => {
      this.#reopening = undefined;
    });
    return this.#reopening;
  }

  async #openAgain(): Promise<void> {
    if (this.#initialize === undefined) throw new Error('the session has ended');
    const { post, onReady } = this.#options;
    const { response, reply } = await post(this.#initialize, {});
    if (!this.#take(response, reply)) throw new Error('the session has ended, and the gateway opens no other');
    if (this.#initialized === undefined) return;
    await post(this.#initialized, this.headers);
    onReady();
    for (const { method, params } of this.#settings.values()) {
      const line = JSON.stringify({ jsonrpc: '2.0', id: 'remit-again', method, params });
      await post(line, this.headers).catch(() => {});
    }
  }

  #take(response: GatewayResponse, reply: unknown): boolean {
    const result = isJsonObject(reply) && isJsonObject(reply.result) ? reply.result : undefined;
    if (result === undefined) return false;
    this.#number += 1;
    this.#version = typeof result.protocolVersion === 'string' ? result.protocolVersion : undefined;
    this.#id = textHeader(response, 'mcp-session-id');
    return true;
  }
}
