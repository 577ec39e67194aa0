import type { Era } from '../../domain/era.ts';
import type { OpenUpstream, Upstream, UpstreamReply } from '../../seams/upstream.ts';
import { saysOtherEra } from './handshake.ts';
import type { HttpCall } from './http-call.ts';
import { createHttpSetup, type HttpOpener, type HttpOpenerOptions } from './http-setup.ts';
import { LegacyHttpConnection } from './legacy-http-connection.ts';
import { ModernHttpConnection } from './modern-http-connection.ts';
import { createRedactor } from './redaction.ts';

export type { HttpOpener, HttpOpenerOptions } from './http-setup.ts';

/** Statuses with which a server of one era answers the first request of the other, if it gives no error of JSON-RPC. */
const OTHER_ERA = new Set([400, 404, 405, 406, 415, 422, 501]);

/**
 * Opens connections to a server over Streamable HTTP, in the era that is preferred where the server speaks both.
 * @throws `ERR_CONFIG_INVALID` for a URL with credentials in it
 */
export function createHttpOpener(options: HttpOpenerOptions): HttpOpener {
  const setup = createHttpSetup(options);
  const { protocol = 'auto', clientInfo } = options;
  /** The era that the server was found not to speak. */
  let unspoken: Era | undefined;

  async function open(request: OpenUpstream): Promise<Upstream> {
    if (protocol !== 'auto') return await openOnly(protocol, request);
    const preferred = request.prefer === unspoken ? otherEra(unspoken) : request.prefer;
    let said: unknown;
    try {
      return await openIn(preferred, request);
    } catch (error) {
      const isKnown = unspoken !== undefined;
      unspoken = undefined;
      if (!(error instanceof OtherEra) || isKnown) throw faultOf(error);
      said = error.cause;
    }
    const upstream = await openIn(otherEra(preferred), request).catch((error: unknown) => {
      // It speaks neither: what it said in the era that was wanted tells more.
      throw error instanceof OtherEra ? said : error;
    });
    unspoken = preferred;
    return upstream;
  }

  async function openOnly(era: Era, request: OpenUpstream): Promise<Upstream> {
    return await openIn(era, request).catch((error: unknown) => {
      throw faultOf(error);
    });
  }

  async function openIn(era: Era, request: OpenUpstream): Promise<Upstream> {
    const { injection, clientCapabilities, timeoutMs, cancellation } = request;
    const introduction = { clientInfo, clientCapabilities, redact: createRedactor(injection).redact };
    const Connection = era === 'legacy' ? LegacyHttpConnection : ModernHttpConnection;
    const connection = new Connection(setup.connectionOptions(request), introduction);
    return await setup.openWithin(request, connection, async () => {
      let reply = await replyTo(connection.introduce(timeoutMs, cancellation));
      // A server that names this very revision as supported is asked once more: it was not ready for it, or not sure.
      if (era === 'modern' && 'error' in reply && !saysOtherEra(reply, 'server/discover')) {
        reply = await replyTo(connection.introduce(timeoutMs, cancellation));
      }
      const isOther = saysOtherEra(reply, era === 'legacy' ? 'initialize' : 'server/discover');
      try {
        await connection.agree(reply, timeoutMs);
      } catch (error) {
        throw isOther ? new OtherEra(error) : error;
      }
    });
  }

  return { open, close: setup.close };
}

/** The server does not speak the era that it was asked in. */
class OtherEra extends Error {
  constructor(fault: unknown) {
    super('The server speaks another era', { cause: fault });
  }
}

const faultOf = (error: unknown): unknown => (error instanceof OtherEra ? error.cause : error);
const otherEra = (era: Era): Era => (era === 'legacy' ? 'modern' : 'legacy');

async function replyTo(call: HttpCall): Promise<UpstreamReply> {
  try {
    return await call.reply;
  } catch (error) {
    throw OTHER_ERA.has(call.status) ? new OtherEra(error) : error;
  }
}
