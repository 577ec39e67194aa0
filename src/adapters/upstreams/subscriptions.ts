import type { JsonObject } from '../../domain/json.ts';
import type { UpstreamCall, UpstreamReply } from '../../seams/upstream.ts';
import { protocolFault } from './upstream-faults.ts';

/** Milliseconds for each request. */
const TIMEOUT = 10_000;

interface LegacyUpstream {
  readonly where: string;
  readonly capabilities: JsonObject;
  request(call: UpstreamCall): Promise<UpstreamReply>;
}

/** The resources that a legacy connection is subscribed to (`resources/subscribe`, ≤ 2025-11-25). */
export class Subscriptions {
  readonly #upstream: LegacyUpstream;
  #held = new Set<string>();

  constructor(upstream: LegacyUpstream) {
    this.#upstream = upstream;
  }

  /** The server has forgotten them, with its session. */
  forget(): void {
    this.#held = new Set();
  }

  /**
   * Subscribes to what is missing, and ends what is no longer wanted.
   * @throws `ERR_CONNECTOR_PROTOCOL` where the server refuses one, when the others have been asked for
   */
  async set(wanted: readonly string[]): Promise<void> {
    for (const uri of [...this.#held]) {
      if (wanted.includes(uri)) continue;
      this.#held.delete(uri);
      // It may go on to tell of it; nobody listens.
      await this.#ask('resources/unsubscribe', uri).catch(() => {});
    }
    let fault: unknown;
    for (const uri of wanted) {
      if (this.#held.has(uri)) continue;
      try {
        await this.#subscribe(uri);
      } catch (error) {
        fault ??= error;
      }
    }
    if (fault !== undefined) throw fault;
  }

  async #subscribe(uri: string): Promise<void> {
    const reply = await this.#ask('resources/subscribe', uri);
    if (!('error' in reply)) this.#held.add(uri);
    else {
      const { where } = this.#upstream;
      throw protocolFault(`The server does not tell of changes of a resource (${reply.error.code})`, { where });
    }
  }

  #ask(method: string, uri: string): Promise<UpstreamReply> {
    return this.#upstream.request({ method, params: `"uri":${JSON.stringify(uri)}`, meta: '', timeoutMs: TIMEOUT });
  }
}
